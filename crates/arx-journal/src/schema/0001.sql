-- Instants are microseconds since 1970, digests 32 bytes; `packed` columns say their form and
-- checksum, then hold JSON in an LZ4 block. `crc` is the checksum of the row's other columns, made
-- by whoever writes it. See docs/spec/journal.md.
--
-- A list of three or more values after IN is a table that SQLite fills at each statement; the
-- tables that every call of a workflow writes to spell it out.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL,
    crc   INTEGER NOT NULL AS (row_crc(key, value)) STORED
) STRICT, WITHOUT ROWID;

CREATE TABLE workflow_versions (
    digest         BLOB PRIMARY KEY CHECK (length(digest) = 32),
    name           TEXT NOT NULL,
    manifest       TEXT NOT NULL,
    source         TEXT NOT NULL,
    policy_version TEXT NOT NULL,
    created_at     INTEGER NOT NULL,
    crc            INTEGER NOT NULL AS (row_crc(
                     digest, name, manifest, source, policy_version, created_at
                   )) STORED
) STRICT;
CREATE INDEX workflow_versions_by_name ON workflow_versions (name, created_at);

-- What lists show stands before what may be long: SQLite reads a row from its beginning.
CREATE TABLE runs (
    n              INTEGER PRIMARY KEY,
    id             TEXT NOT NULL UNIQUE,
    workflow       TEXT NOT NULL,
    version        BLOB NOT NULL REFERENCES workflow_versions (digest),
    policy_version TEXT NOT NULL,
    world          TEXT NOT NULL,
    status         TEXT NOT NULL,
    actor          TEXT NOT NULL,
    started_at     INTEGER NOT NULL,
    ended_at       INTEGER,
    owner          TEXT,
    epoch          INTEGER NOT NULL DEFAULT 0,
    leased_until   INTEGER,
    minutes_saved  INTEGER NOT NULL DEFAULT 0,
    figures        BLOB,          -- packed, of the report
    args           BLOB NOT NULL, -- packed
    inputs         BLOB NOT NULL, -- packed
    report         BLOB,          -- packed
    crc            INTEGER NOT NULL AS (row_crc(
                     n, id, workflow, version, policy_version, world, status, actor, started_at,
                     ended_at, owner, epoch, leased_until, minutes_saved, figures, args, inputs,
                     report
                   )) STORED
) STRICT;
CREATE INDEX runs_by_workflow ON runs (workflow, world, n);
CREATE INDEX runs_unfinished ON runs (workflow, world, n) WHERE ended_at IS NULL;
CREATE INDEX runs_of_workflow ON runs (workflow, n);
CREATE INDEX runs_by_status ON runs (status, n);
CREATE INDEX runs_of_workflow_by_status ON runs (workflow, status, n);
CREATE INDEX runs_that_saved ON runs (started_at, minutes_saved) WHERE minutes_saved > 0;

CREATE TABLE steps (
    run        TEXT NOT NULL REFERENCES runs (id),
    key        BLOB NOT NULL CHECK (length(key) = 32),
    occurrence INTEGER NOT NULL,
    position   INTEGER NOT NULL,
    operation  TEXT NOT NULL,
    outcome    TEXT NOT NULL CHECK (outcome IN ('value', 'raised')),
    at         INTEGER NOT NULL,
    payload    BLOB NOT NULL, -- packed
    crc        INTEGER NOT NULL AS (row_crc(
                 run, key, occurrence, position, operation, outcome, at, payload
               )) STORED,
    PRIMARY KEY (run, key, occurrence),
    UNIQUE (run, position)
) STRICT;

CREATE TABLE effects (
    world         TEXT NOT NULL,
    key           TEXT NOT NULL,
    run           TEXT NOT NULL REFERENCES runs (id),
    workflow      TEXT NOT NULL,
    operation     TEXT NOT NULL,
    params_sha256 BLOB NOT NULL CHECK (length(params_sha256) = 32),
    params        BLOB NOT NULL, -- packed, redacted
    state         TEXT NOT NULL
                  CHECK (state = 'intended' OR state = 'done' OR state = 'failed'
                         OR state = 'unknown'),
    result        BLOB,          -- packed, redacted
    detail        TEXT,
    covered_by    TEXT,
    attempts      INTEGER NOT NULL,
    intent_at     INTEGER NOT NULL,
    intent_seq    INTEGER NOT NULL,
    settled_at    INTEGER,
    outcome_seq   INTEGER,
    crc           INTEGER NOT NULL AS (row_crc(
                    world, key, run, workflow, operation, params_sha256, params, state, result,
                    detail, covered_by, attempts, intent_at, intent_seq, settled_at, outcome_seq
                  )) STORED,
    PRIMARY KEY (world, key)
) STRICT;
CREATE INDEX effects_by_run ON effects (run);
CREATE INDEX effects_by_intent ON effects (intent_seq, key);
-- Nearly all effects are done: these are found in the order of their intents.
CREATE INDEX effects_not_done ON effects (state, intent_seq, key) WHERE state <> 'done';
CREATE INDEX effects_covered ON effects (world, covered_by) WHERE covered_by IS NOT NULL;

CREATE TABLE decisions (
    seq        INTEGER PRIMARY KEY, -- of its audit leaf
    run        TEXT NOT NULL REFERENCES runs (id),
    workflow   TEXT NOT NULL,
    world      TEXT NOT NULL,
    operation  TEXT NOT NULL,
    access     TEXT NOT NULL CHECK (access IN ('read', 'write')),
    verdict    TEXT NOT NULL
               CHECK (verdict = 'PERMIT' OR verdict = 'ESCALATE' OR verdict = 'DENY'),
    approval   TEXT REFERENCES approvals (id),
    effect_key TEXT,
    request    BLOB NOT NULL, -- packed, redacted
    at         INTEGER NOT NULL,
    crc        INTEGER NOT NULL AS (row_crc(
                 seq, run, workflow, world, operation, access, verdict, approval, effect_key,
                 request, at
               )) STORED
) STRICT;
CREATE INDEX decisions_let_through ON decisions (workflow, world, at, access, operation)
    WHERE verdict = 'PERMIT' OR approval IS NOT NULL;
CREATE INDEX decisions_by_run ON decisions (run);

CREATE TABLE approvals (
    n            INTEGER PRIMARY KEY,
    id           TEXT NOT NULL UNIQUE,
    run          TEXT NOT NULL REFERENCES runs (id),
    workflow     TEXT NOT NULL,
    state        TEXT NOT NULL
                 CHECK (state IN ('pending', 'approved', 'denied', 'expired', 'cancelled', 'used')),
    requester    TEXT NOT NULL,
    approvers    TEXT NOT NULL, -- JSON list
    quorum       INTEGER NOT NULL CHECK (quorum > 0),
    requested_at INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    severity     TEXT NOT NULL CHECK (severity IN ('LOW', 'MEDIUM', 'HIGH', 'CRITICAL')),
    escalate_to  TEXT NOT NULL, -- JSON list
    remind_at    INTEGER,       -- null once done, or never
    escalate_at  INTEGER,       -- null once done, or never
    escalated_at INTEGER,
    crc          INTEGER NOT NULL AS (row_crc(
                   n, id, run, workflow, state, requester, approvers, quorum, requested_at,
                   expires_at, severity, escalate_to, remind_at, escalate_at, escalated_at
                 )) STORED
) STRICT;
CREATE INDEX approvals_by_run ON approvals (run);
CREATE INDEX approvals_by_state ON approvals (state, n);
CREATE INDEX approvals_open ON approvals (expires_at) WHERE state IN ('pending', 'approved');
CREATE INDEX approvals_to_remind ON approvals (remind_at)
    WHERE state = 'pending' AND remind_at IS NOT NULL;
CREATE INDEX approvals_to_escalate ON approvals (escalate_at)
    WHERE state = 'pending' AND escalate_at IS NOT NULL;

CREATE TABLE approval_actions (
    approval   INTEGER NOT NULL REFERENCES approvals (n),
    n          INTEGER NOT NULL,
    digest     BLOB NOT NULL CHECK (length(digest) = 32),
    operation  TEXT NOT NULL,
    preview    BLOB NOT NULL, -- packed, redacted
    effect_key TEXT,
    risk       BLOB,          -- packed
    reason     TEXT NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('pending', 'approved', 'denied', 'used')),
    crc        INTEGER NOT NULL AS (row_crc(
                 approval, n, digest, operation, preview, effect_key, risk, reason, state
               )) STORED,
    PRIMARY KEY (approval, n)
) STRICT;
CREATE INDEX approval_actions_by_digest ON approval_actions (digest);

CREATE TABLE votes (
    approval INTEGER NOT NULL,
    action   INTEGER NOT NULL,
    who      TEXT NOT NULL,
    decision TEXT NOT NULL CHECK (decision IN ('approve', 'deny')),
    reason   TEXT,
    at       INTEGER NOT NULL,
    crc      INTEGER NOT NULL AS (row_crc(approval, action, who, decision, reason, at)) STORED,
    PRIMARY KEY (approval, action, who),
    FOREIGN KEY (approval, action) REFERENCES approval_actions (approval, n)
) STRICT, WITHOUT ROWID;

CREATE TABLE episodes (
    world         TEXT NOT NULL,
    workflow      TEXT NOT NULL,
    vulnerability TEXT NOT NULL,
    n             INTEGER NOT NULL CHECK (n > 0),
    opened_at     INTEGER NOT NULL,
    opened_by     TEXT NOT NULL REFERENCES runs (id),
    scope         TEXT NOT NULL, -- of the read that showed it last
    closed_at     INTEGER,
    closed_by     TEXT REFERENCES runs (id),
    crc           INTEGER NOT NULL AS (row_crc(
                    world, workflow, vulnerability, n, opened_at, opened_by, scope, closed_at,
                    closed_by
                  )) STORED,
    PRIMARY KEY (world, workflow, vulnerability, n)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX episodes_open ON episodes (world, workflow, vulnerability)
    WHERE closed_at IS NULL;

CREATE TABLE lineage_chunks (
    dataset TEXT NOT NULL,
    n       INTEGER NOT NULL,
    chunk   BLOB NOT NULL, -- packed
    crc     INTEGER NOT NULL AS (row_crc(dataset, n, chunk)) STORED,
    PRIMARY KEY (dataset, n)
) STRICT;

CREATE TABLE merges (
    digest   BLOB NOT NULL CHECK (length(digest) = 32),
    dataset  TEXT NOT NULL UNIQUE,
    run      TEXT NOT NULL REFERENCES runs (id),
    n_chunks INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    crc      INTEGER NOT NULL AS (row_crc(digest, dataset, run, n_chunks, at)) STORED,
    PRIMARY KEY (digest, dataset)
) STRICT, WITHOUT ROWID;

CREATE TABLE cache (
    connector  TEXT NOT NULL,
    kind       TEXT NOT NULL,
    key        TEXT NOT NULL,
    value      BLOB NOT NULL, -- packed
    fetched_at INTEGER NOT NULL,
    crc        INTEGER NOT NULL AS (row_crc(connector, kind, key, value, fetched_at)) STORED,
    PRIMARY KEY (connector, kind, key)
) STRICT;

CREATE TABLE stops (
    n         INTEGER PRIMARY KEY,
    workflow  TEXT NOT NULL,
    at        INTEGER NOT NULL,
    by        TEXT NOT NULL,
    reason    TEXT NOT NULL,
    lifted_at INTEGER,
    lifted_by TEXT,
    crc       INTEGER NOT NULL AS (row_crc(
                n, workflow, at, by, reason, lifted_at, lifted_by
              )) STORED
) STRICT;
CREATE UNIQUE INDEX stops_active ON stops (workflow) WHERE lifted_at IS NULL;

-- Which version of a workflow runs by itself; what was registered before is in the log.
CREATE TABLE registrations (
    workflow      TEXT PRIMARY KEY,
    version       BLOB NOT NULL REFERENCES workflow_versions (digest),
    registered_at INTEGER NOT NULL,
    registered_by TEXT NOT NULL,
    due_after     INTEGER NOT NULL, -- times up to here are nobody's
    paused_at     INTEGER,
    paused_by     TEXT,
    crc           INTEGER NOT NULL AS (row_crc(
                    workflow, version, registered_at, registered_by, due_after, paused_at,
                    paused_by
                  )) STORED
) STRICT, WITHOUT ROWID;

-- Every time that was due, or that a person asked for, and what became of it.
CREATE TABLE fires (
    n           INTEGER PRIMARY KEY,
    world       TEXT NOT NULL,
    workflow    TEXT NOT NULL,
    cause       TEXT NOT NULL CHECK (cause IN ('schedule', 'catch_up', 'person')),
    due_at      INTEGER NOT NULL,
    last_due_at INTEGER NOT NULL, -- where it stands for several times: the last of them
    n_due       INTEGER NOT NULL CHECK (n_due > 0),
    not_before  INTEGER NOT NULL,
    actor       TEXT NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('waiting', 'started', 'skipped', 'failed')),
    reason      TEXT,
    run         TEXT REFERENCES runs (id),
    decided_at  INTEGER,
    crc         INTEGER NOT NULL AS (row_crc(
                  n, world, workflow, cause, due_at, last_due_at, n_due, not_before, actor, state,
                  reason, run, decided_at
                )) STORED
) STRICT;
CREATE INDEX fires_by_workflow ON fires (workflow, world, n);
CREATE UNIQUE INDEX fires_once ON fires (workflow, world, last_due_at) WHERE cause <> 'person';
CREATE INDEX fires_waiting ON fires (world, not_before) WHERE state = 'waiting';
CREATE INDEX fires_by_run ON fires (run) WHERE run IS NOT NULL;

-- Who may ask for what, and how they prove who they are: hashes and digests, nothing in the clear.
CREATE TABLE people (
    n             INTEGER PRIMARY KEY,
    name          TEXT NOT NULL,
    folded        TEXT NOT NULL UNIQUE, -- the name in lower case
    role          TEXT NOT NULL CHECK (role IN ('viewer', 'approver', 'admin')),
    password_hash TEXT,                 -- PHC string
    created_at    INTEGER NOT NULL,
    created_by    TEXT NOT NULL,
    disabled_at   INTEGER,
    crc           INTEGER NOT NULL AS (row_crc(
                    n, name, folded, role, password_hash, created_at, created_by, disabled_at
                  )) STORED
) STRICT;

CREATE TABLE sessions (
    digest       BLOB PRIMARY KEY CHECK (length(digest) = 32), -- of the cookie
    person       INTEGER NOT NULL REFERENCES people (n),
    created_at   INTEGER NOT NULL,
    last_seen_at INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    seq          INTEGER NOT NULL, -- of the leaf that it began with
    crc          INTEGER NOT NULL AS (row_crc(
                   digest, person, created_at, last_seen_at, expires_at, seq
                 )) STORED
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_person ON sessions (person, seq);
CREATE INDEX sessions_by_end ON sessions (expires_at);

CREATE TABLE tokens (
    id           TEXT PRIMARY KEY,
    digest       BLOB NOT NULL UNIQUE CHECK (length(digest) = 32), -- of the secret
    person       INTEGER NOT NULL REFERENCES people (n),
    label        TEXT NOT NULL,
    role         TEXT NOT NULL CHECK (role IN ('viewer', 'approver', 'admin')),
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    revoked_at   INTEGER,
    last_used_at INTEGER,
    crc          INTEGER NOT NULL AS (row_crc(
                   id, digest, person, label, role, created_at, expires_at, revoked_at,
                   last_used_at
                 )) STORED
) STRICT, WITHOUT ROWID;
CREATE INDEX tokens_by_person ON tokens (person);

CREATE TABLE links (
    id         TEXT PRIMARY KEY,
    digest     BLOB NOT NULL UNIQUE CHECK (length(digest) = 32), -- of the secret
    person     INTEGER REFERENCES people (n), -- null for the very first admin
    role       TEXT NOT NULL CHECK (role IN ('viewer', 'approver', 'admin')),
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    used_at    INTEGER,
    crc        INTEGER NOT NULL AS (row_crc(
                 id, digest, person, role, created_at, created_by, expires_at, used_at
               )) STORED
) STRICT, WITHOUT ROWID;
CREATE INDEX links_unused ON links (person) WHERE used_at IS NULL;

-- What people are to be told, once for each target.
CREATE TABLE notifications (
    n            INTEGER PRIMARY KEY,
    id           TEXT NOT NULL UNIQUE,
    kind         TEXT NOT NULL,
    target       TEXT NOT NULL CHECK (target IN ('slack', 'webhook')),
    run          TEXT NOT NULL REFERENCES runs (id),
    approval     TEXT REFERENCES approvals (id),
    payload      BLOB NOT NULL, -- packed, without secrets
    created_at   INTEGER NOT NULL,
    due_at       INTEGER,       -- null once it is delivered or given up
    attempts     INTEGER NOT NULL,
    delivered_at INTEGER,
    failed       TEXT,
    crc          INTEGER NOT NULL AS (row_crc(
                   n, id, kind, target, run, approval, payload, created_at, due_at, attempts,
                   delivered_at, failed
                 )) STORED
) STRICT;
CREATE INDEX notifications_due ON notifications (target, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX notifications_by_age ON notifications (created_at);

-- `bytes` alone is the record; the other columns only find it, and are checked against it.
CREATE TABLE leaves (
    seq   INTEGER PRIMARY KEY,
    bytes BLOB NOT NULL,
    at    INTEGER NOT NULL,
    kind  TEXT NOT NULL,
    run   TEXT,
    crc   INTEGER NOT NULL AS (row_crc(seq, bytes, at, kind, run)) STORED
) STRICT;
CREATE INDEX leaves_by_run ON leaves (run, seq) WHERE run IS NOT NULL;
-- The kinds of which every call has leaves are found by going through the log.
CREATE INDEX leaves_by_kind ON leaves (kind, seq)
    WHERE kind <> 'decision' AND kind <> 'intent' AND kind <> 'outcome';

-- A row for each commit that appended leaves, or a few where they were many.
CREATE TABLE hashes (
    first  INTEGER PRIMARY KEY, -- storage index of the first one
    hashes BLOB NOT NULL CHECK (length(hashes) > 0 AND length(hashes) % 32 = 0),
    crc    INTEGER NOT NULL AS (row_crc(first, hashes)) STORED
) STRICT;

CREATE TABLE checkpoints (
    size INTEGER PRIMARY KEY,
    note TEXT NOT NULL,
    at   INTEGER NOT NULL,
    crc  INTEGER NOT NULL AS (row_crc(size, note, at)) STORED
) STRICT;

//! The vendors: Wiz, Qualys, PagerDuty, Jira.

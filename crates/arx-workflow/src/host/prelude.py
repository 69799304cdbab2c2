import asyncio as _arx_asyncio


class Record:
    def get(self, key, default=None):
        return getattr(self, key, default)

    def keys(self):
        return list(self._arx_keys)

    def values(self):
        return [getattr(self, key) for key in self._arx_keys]

    def items(self):
        return [(key, getattr(self, key)) for key in self._arx_keys]

    def __contains__(self, key):
        return key in self._arx_keys

    def __iter__(self):
        return iter(self._arx_keys)

    def __eq__(self, other):
        return isinstance(other, Record) and Record.items(self) == Record.items(other)

    def __repr__(self):
        return 'Record(' + ', '.join([f'{key}={getattr(self, key)!r}' for key in self._arx_keys]) + ')'


# Values of JSON with their objects as records. One call for a whole list: calls are what costs.
def _arx_wrap_all(values):
    wrapped = []
    for value in values:
        kind = type(value)
        if kind is dict:
            record = Record()
            record._arx_keys = list(value)
            for key in value:
                field = value[key]
                kind = type(field)
                if kind is dict:
                    field = _arx_wrap_all([field])[0]
                elif kind is list:
                    field = _arx_wrap_all(field)
                setattr(record, key, field)
            value = record
        elif kind is list:
            value = _arx_wrap_all(value)
        wrapped.append(value)
    return wrapped


def _arx_wrap(value):
    return _arx_wrap_all([value])[0]


_arx_exceptions = {
    'PermissionError': PermissionError,
    'TimeoutError': TimeoutError,
    'OSError': OSError,
    'ValueError': ValueError,
    'RuntimeError': RuntimeError,
}


# A call is resolved with a tagged value, never with an error: an error delivered to a pending
# future inside a gathered task cannot be caught there.
def _arx_unwrap(outcome):
    tag, value, message = outcome
    if tag == 'value':
        return _arx_wrap(value)
    raise _arx_exceptions[value](message)


class Connector:
    pass


def _arx_operation(spelling, name):
    async def call(*args, **params):
        if args:
            raise TypeError(f'{spelling}() takes keyword arguments only')
        return _arx_unwrap(await _arx_call(name, params))

    return call


def _arx_connector(name, operations):
    root = Connector()
    for path, spelling, operation in operations:
        node = root
        for part in path[:-1]:
            if not hasattr(node, part):
                setattr(node, part, Connector())
            node = getattr(node, part)
        setattr(node, path[-1], _arx_operation(spelling, operation))
    return root


def _arx_function(name):
    async def call(*args, **params):
        if 'args' in params:
            raise TypeError(f'{name}() takes no parameter called `args`')
        if args:
            params['args'] = list(args)
        return _arx_unwrap(await _arx_call(name, params))

    return call


def _arx_identity(item, index):
    if isinstance(item, dict):
        found = item.get('id')
    else:
        found = getattr(item, 'id', None)
    if found is None and isinstance(item, (str, int)):
        found = item
    return str(index) if found is None else str(found)


def _arx_add_outcomes(report, outcomes):
    for outcome in outcomes:
        if outcome not in report['outcomes']:
            report['outcomes'].append(outcome)


def _arx_add_fields(report, fields):
    for key in fields:
        value = fields.get(key)
        if key == 'outcomes':
            _arx_add_outcomes(report, [value] if isinstance(value, str) else value)
        else:
            report[key] = value


def _arx_add_result(report, result):
    if result is None:
        return
    if isinstance(result, str):
        _arx_add_outcomes(report, [result])
    elif isinstance(result, (list, tuple)):
        _arx_add_outcomes(report, result)
    elif isinstance(result, (dict, Record)):
        _arx_add_fields(report, result)
    else:
        raise TypeError('the function given to arx.each returns a dict of fields, an outcome, or None')


def _arx_add_failure(report, error):
    kind = type(error).__name__
    _arx_add_outcomes(report, ['failed'])
    if isinstance(error, PermissionError):
        _arx_add_outcomes(report, ['denied'])
    if kind == 'RuntimeError':
        _arx_add_outcomes(report, ['unknown'])
    report['error'] = {'kind': kind, 'message': str(error)}


class Arx:
    def __init__(self, now):
        self.now = now
        self._arx_reports = {}

    def log(self, text, level='info'):
        _arx_emit('log', str(text), level)

    def progress(self, done, total=None, label=''):
        _arx_emit('progress', done, total, label)

    def note(self, item, *outcomes, **facts):
        report = self._arx_reports.get(id(item))
        if report is None:
            raise ValueError('arx.note() is called with an item that arx.each() is working on')
        _arx_add_outcomes(report, outcomes)
        _arx_add_fields(report, facts)
        _arx_emit('note', report)

    async def each(self, items, fn):
        items = list(items)
        return list(await _arx_asyncio.gather(*[self._arx_one(index, items[index], fn) for index in range(len(items))]))

    async def _arx_one(self, index, item, fn):
        report = {'id': _arx_identity(item, index), 'outcomes': []}
        title = item.get('title') if isinstance(item, dict) else getattr(item, 'title', None)
        if isinstance(title, str):
            report['title'] = title
        self._arx_reports[id(item)] = report
        try:
            _arx_add_result(report, await fn(item))
        except Exception as error:
            _arx_add_failure(report, error)
        self._arx_reports.pop(id(item), None)
        try:
            return _arx_wrap(_arx_emit('item', report))
        except Exception as error:
            report = {'id': report['id'], 'outcomes': report['outcomes']}
            _arx_add_failure(report, error)
            return _arx_wrap(_arx_emit('item', report))


def _arx_api(now, functions):
    api = Arx(now)
    api.brief = _arx_brief
    api.text = _arx_text
    api.route = _arx_route
    api.paging = _arx_paging
    api.settled = _arx_settled
    for name in functions:
        setattr(api, name, _arx_function('arx.' + name))
    return api

"""pykka on gevent: actors, cells, refs, futures, a scheduler and timers.

The one rule: nothing here knows OCPP. `failure.attempt` is the only place that catches `BaseException`; `pykka_names`
and `actor` are the only modules that touch pykka's underscore names.
"""

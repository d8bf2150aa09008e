"""Stores: what outlives the process, behind one Protocol; memory, SQLite and PostgreSQL implement it.

The one rule: an append returns a receipt at once and never blocks the hub, and nothing is acknowledged to a charge
point before its receipt says that it is durable. A store never judges a record and never imports a session or a
transport.

In reading order: `records` and `collections`, what is stored; `events`, durable events; `store`, the Protocol and its
receipts; `stops`, further stops of a transaction; `open_transactions` and `event_bounds`, which every store uses;
`memory` and `memory_event_log`; `durable`, a store on any database, with `event_log`, `rows`, `search` and `writer`;
`sqlite` and `sqlite_schema`, `copying`, `inspection`; `shared`, for a database that others write to, with `postgres`,
`postgres_schema` and `libpq`, and `worker_socket` and `store_server` for worker processes; `gil_handoff`; `factory`,
which opens the store of the settings.
"""

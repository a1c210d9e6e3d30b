//! One SQL text on SQLite and PostgreSQL: units of work, migrations and the event outbox.

"""SQLite: the database, its migrations, and one module per aggregate."""

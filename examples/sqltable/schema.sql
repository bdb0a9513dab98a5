CREATE TABLE IF NOT EXISTS person (
    email    TEXT PRIMARY KEY,
    password TEXT NOT NULL -- bcrypt
);
CREATE TABLE IF NOT EXISTS folder (
    owner   TEXT NOT NULL REFERENCES person (email),
    name    TEXT NOT NULL,
    version INTEGER NOT NULL DEFAULT 1,
    PRIMARY KEY (owner, name)
);
CREATE TABLE IF NOT EXISTS letter (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    owner   TEXT NOT NULL,
    folder  TEXT NOT NULL,
    flags   TEXT NOT NULL DEFAULT '',
    arrived INTEGER NOT NULL DEFAULT (unixepoch()),
    body    BLOB NOT NULL,
    FOREIGN KEY (owner, folder) REFERENCES folder (owner, name)
);
CREATE INDEX IF NOT EXISTS letter_by_folder ON letter (owner, folder, id);
CREATE TRIGGER IF NOT EXISTS letter_added AFTER INSERT ON letter BEGIN
    UPDATE folder SET version = version + 1 WHERE owner = NEW.owner AND name = NEW.folder;
END;
CREATE TRIGGER IF NOT EXISTS letter_changed AFTER UPDATE ON letter BEGIN
    UPDATE folder SET version = version + 1 WHERE owner = NEW.owner AND name = NEW.folder;
END;
CREATE TRIGGER IF NOT EXISTS letter_removed AFTER DELETE ON letter BEGIN
    UPDATE folder SET version = version + 1 WHERE owner = OLD.owner AND name = OLD.folder;
END;

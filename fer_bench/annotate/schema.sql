CREATE TABLE IF NOT EXISTS meta (
  key   TEXT PRIMARY KEY,
  value TEXT NOT NULL
) WITHOUT ROWID;

-- every version of the study file this database was opened with
CREATE TABLE IF NOT EXISTS versions (
  version   TEXT PRIMARY KEY,
  digest    TEXT NOT NULL,
  opened_at TEXT NOT NULL,
  scale     TEXT NOT NULL DEFAULT 'sam9'
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS staff (
  role       TEXT PRIMARY KEY CHECK (role IN ('admin', 'screener')),
  token_hash TEXT NOT NULL UNIQUE
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS raters (
  rater_id       INTEGER PRIMARY KEY,
  name           TEXT NOT NULL UNIQUE,
  token_hash     TEXT NOT NULL UNIQUE,
  created_at     TEXT NOT NULL,
  consent_digest TEXT,
  consented_at   TEXT
);

CREATE TABLE IF NOT EXISTS items (
  item_id TEXT PRIMARY KEY,
  image   TEXT NOT NULL UNIQUE,
  label   TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS presentations (
  rater_id       INTEGER NOT NULL REFERENCES raters,
  position       INTEGER NOT NULL,
  item_id        TEXT NOT NULL REFERENCES items,
  presentation   INTEGER NOT NULL CHECK (presentation IN (1, 2)),
  kind           TEXT NOT NULL CHECK (kind IN ('practice', 'main', 'catch')),
  first_shown_ms INTEGER,
  PRIMARY KEY (rater_id, position),
  UNIQUE (rater_id, item_id, presentation)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS answers (
  rater_id         INTEGER NOT NULL,
  item_id          TEXT NOT NULL,
  presentation     INTEGER NOT NULL,
  revision         INTEGER NOT NULL CHECK (revision >= 1),
  status           TEXT NOT NULL CHECK (status IN ('answered', 'skipped')),
  decision         TEXT CHECK (decision IN ('keep', 'reject')),
  reject_reasons   TEXT NOT NULL,
  category         TEXT,
  wheel            TEXT,
  valence          INTEGER CHECK (valence BETWEEN -3 AND 9),
  arousal          INTEGER CHECK (arousal BETWEEN 0 AND 9),
  ambiguity        INTEGER CHECK (ambiguity BETWEEN 0 AND 6),
  deciding_factors TEXT NOT NULL,
  age_groups       TEXT NOT NULL,
  tags             TEXT NOT NULL DEFAULT '[]',
  response_ms      INTEGER,
  server_ms        INTEGER,
  saved_at         TEXT NOT NULL,
  study_version    TEXT NOT NULL,
  PRIMARY KEY (rater_id, item_id, presentation),
  FOREIGN KEY (rater_id, item_id, presentation) REFERENCES presentations (rater_id, item_id, presentation)
) WITHOUT ROWID;

-- what an answer was before the rater went back and changed it
CREATE TABLE IF NOT EXISTS earlier_answers (
  rater_id     INTEGER NOT NULL,
  item_id      TEXT NOT NULL,
  presentation INTEGER NOT NULL,
  revision     INTEGER NOT NULL,
  answer       TEXT NOT NULL,
  PRIMARY KEY (rater_id, item_id, presentation, revision)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS prescreen_marks (
  item_id   TEXT PRIMARY KEY REFERENCES items,
  label     TEXT NOT NULL,
  marked_at TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS prescreen_marks_by_label ON prescreen_marks (label);

CREATE TABLE IF NOT EXISTS prescreen_places (
  label TEXT PRIMARY KEY,
  place INTEGER NOT NULL
) WITHOUT ROWID;

// The journal's tables, in prose and SQL. `PRAGMA user_version` is the schema's version.
//
// captures: one row for each (alert, camera), the unit of work, written once when the alert is accepted and never
// removed.
//   waiting    next_attempt_ms says when to work on it (again); no lease.
//   capturing  lease_owner works on it until lease_until_ms; past that the row is anybody's again.
//   done, partial, failed, ignored   finished; finished_ms says when. done and partial name a clip.
// The alert's own fields stand in each of its rows: an alert seldom has more than one camera, and one row and one
// index make an accepted webhook cheap.
//
// pins: the public key a LAN device was first seen with.
#pragma once

namespace responder::journal {

inline constexpr int schema_version = 1;

inline constexpr const char* create_schema = R"sql(
CREATE TABLE captures (
  id              INTEGER PRIMARY KEY,
  alert           TEXT    NOT NULL CHECK (length(alert) BETWEEN 1 AND 64),
  camera          TEXT    NOT NULL CHECK (length(camera) <= 64),
  camera_name     TEXT    NOT NULL DEFAULT '',
  location        TEXT    NOT NULL,
  activities      TEXT    NOT NULL,
  via             TEXT    NOT NULL CHECK (via IN ('webhook', 'catch-up', 'manual')),
  received_ms     INTEGER NOT NULL,
  alert_ms        INTEGER NOT NULL,
  duration_s      INTEGER NOT NULL CHECK (duration_s >= 0),
  window_start_s  INTEGER NOT NULL,
  window_end_s    INTEGER NOT NULL CHECK (window_end_s > window_start_s),
  state           TEXT    NOT NULL CHECK (state IN ('waiting', 'capturing', 'done', 'partial', 'failed', 'ignored')),
  reason          TEXT    NOT NULL DEFAULT '',
  attempts        INTEGER NOT NULL DEFAULT 0,
  next_attempt_ms INTEGER CHECK ((next_attempt_ms IS NOT NULL) = (state = 'waiting')),
  lease_owner     TEXT    CHECK ((lease_owner IS NOT NULL) = (state = 'capturing')),
  lease_until_ms  INTEGER CHECK ((lease_until_ms IS NOT NULL) = (state = 'capturing')),
  source          TEXT    CHECK (source IN ('lan', 'wan', 'cloud')),
  clip            TEXT    CHECK (clip IS NOT NULL OR state NOT IN ('done', 'partial')),
  bytes           INTEGER,
  sha256          TEXT,
  gaps            TEXT    NOT NULL DEFAULT '',
  finished_ms     INTEGER CHECK ((finished_ms IS NULL) = (state IN ('waiting', 'capturing'))),
  UNIQUE (alert, camera)
) STRICT;
CREATE INDEX captures_waiting ON captures (next_attempt_ms) WHERE state = 'waiting';
CREATE INDEX captures_leased ON captures (lease_until_ms) WHERE state = 'capturing';

CREATE TABLE pins (
  device        TEXT    PRIMARY KEY,
  key_sha256    TEXT    NOT NULL CHECK (length(key_sha256) = 64),
  first_seen_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

PRAGMA user_version = 1;
)sql";

}  // namespace responder::journal

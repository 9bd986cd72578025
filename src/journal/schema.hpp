// The journal's tables, in prose and SQL. `PRAGMA user_version` is the schema's version.
//
// captures: one row for each (alert, camera), the unit of work, written when the alert is accepted and never removed.
//   waiting    next_attempt_ms says when to work on it (again); no lease.
//   capturing  lease_owner works on it until lease_until_ms; past that the row is anybody's again.
//   done, failed, ignored   finished; finished_ms says when. done names a clip.
//   partial    names a clip with gaps; with next_attempt_ms it is tried again then, without it is final.
// The alert's own fields stand in each of its rows: an alert seldom has more than one camera, and one row and one
// index make an accepted webhook cheap. A row that names a clip keeps it whatever its state becomes: the next clip
// replaces it; clip_end_s is the window's end that it was made for. window_end_s grows with its alert and never
// shrinks.
//
// ready: what is known of a clip that stands finished in the spool until the archive has it. Its capture is `waiting`
// (or `capturing`, in the publisher's hands) and is nobody else's work meanwhile.
//
// leftovers: clips under the archive that a better one under another name has replaced; a row goes when its file has.
//
// A clip that retention has removed keeps its row, which says so by removed_ms; `held` keeps it from that. A row of
// the kind `range` is footage that a person asked for, without an alert: its alert column is an id made of the range.
// `presence` says of a clip whether Rhombus has confirmed that all of it is footage, and `sidecar_presence` what its
// sidecar says of that. `damage` says of a clip that a repair has found to be so, and for as long as no other one has taken its place.
//
// targets: who is told of finished captures (hooks, the offsite copy), as the configuration of the process that works
// on captures names them, and of which states. deliveries: what is to be told to them or has been: one row for each
// target and outcome, written with that outcome unless the target was last told the same of the same clip (sha256);
// next_ms says when to try it (again), without it is over: delivered (delivered_ms) or given up (reason).
//
// totals: one row for each state: how many captures are in it; of these, how many have a clip in the archive, its bytes,
// how many of those clips are held, and how many clips retention has removed. Triggers keep it, in the commit of the
// change that it counts, so that looking takes no longer the more captures there are.
//
// pins: the public key a LAN device was first seen with.
//
// facts: what this journal remembers beside its captures, by name: `archive_id`, the marker of its archive; `verify`,
// how far one that is not finished has got; `damaged CLIP`, the bytes of a damaged clip that stands beside that one;
// and what ingest::CatchUp remembers.
//
// INVARIANTS.md says what holds of all this at any moment, and what a crash leaves.
#pragma once

namespace responder::journal {

inline constexpr int schema_version = 5;

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
  next_attempt_ms INTEGER CHECK (next_attempt_ms IS NOT NULL OR state <> 'waiting')
                          CHECK (next_attempt_ms IS NULL OR state IN ('waiting', 'partial')),
  lease_owner     TEXT    CHECK ((lease_owner IS NOT NULL) = (state = 'capturing')),
  lease_until_ms  INTEGER CHECK ((lease_until_ms IS NOT NULL) = (state = 'capturing')),
  source          TEXT    CHECK (source IN ('lan', 'wan', 'cloud')),
  clip            TEXT    CHECK (clip IS NOT NULL OR state NOT IN ('done', 'partial')),
  bytes           INTEGER,
  sha256          TEXT,
  gaps            TEXT    NOT NULL DEFAULT '',
  clip_region     TEXT    NOT NULL DEFAULT '',
  clip_end_s      INTEGER,
  webhook_missed  INTEGER NOT NULL DEFAULT 0 CHECK (webhook_missed IN (0, 1)),
  kind            TEXT    NOT NULL DEFAULT 'alert' CHECK (kind IN ('alert', 'range')),
  held            INTEGER NOT NULL DEFAULT 0 CHECK (held IN (0, 1)),
  removed_ms      INTEGER CHECK (removed_ms IS NULL OR clip IS NOT NULL),
  damage          TEXT    NOT NULL DEFAULT '' CHECK (damage IN ('', 'damaged', 'missing')),
  finished_ms     INTEGER CHECK ((finished_ms IS NULL) = (state IN ('waiting', 'capturing'))),
  UNIQUE (alert, camera)
) STRICT;
CREATE INDEX captures_due ON captures (via, next_attempt_ms) WHERE next_attempt_ms IS NOT NULL;
CREATE INDEX captures_leased ON captures (lease_until_ms) WHERE state = 'capturing';
CREATE INDEX captures_missed ON captures (alert_ms) WHERE webhook_missed = 1;
CREATE INDEX captures_future ON captures (alert_ms) WHERE state = 'ignored' AND reason = 'in the future';

CREATE INDEX captures_clips ON captures (window_end_s) WHERE clip IS NOT NULL AND removed_ms IS NULL;
CREATE INDEX captures_named ON captures (clip) WHERE clip IS NOT NULL;
CREATE INDEX captures_held ON captures (alert) WHERE held = 1;

CREATE TABLE targets (
  name   TEXT PRIMARY KEY,
  states TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE deliveries (
  id           INTEGER PRIMARY KEY,
  target       TEXT    NOT NULL,
  capture      INTEGER NOT NULL REFERENCES captures (id),
  state        TEXT    NOT NULL CHECK (state IN ('done', 'partial', 'failed')),
  sha256       TEXT    NOT NULL,
  created_ms   INTEGER NOT NULL,
  attempts     INTEGER NOT NULL DEFAULT 0,
  next_ms      INTEGER,
  delivered_ms INTEGER CHECK (delivered_ms IS NULL OR next_ms IS NULL),
  reason       TEXT    NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX deliveries_due ON deliveries (target, next_ms) WHERE next_ms IS NOT NULL;
CREATE INDEX deliveries_given_up ON deliveries (target) WHERE next_ms IS NULL AND delivered_ms IS NULL;
CREATE INDEX deliveries_of ON deliveries (capture, target);

CREATE TABLE leftovers (
  clip TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

CREATE TABLE pins (
  device        TEXT    PRIMARY KEY,
  key_sha256    TEXT    NOT NULL CHECK (length(key_sha256) = 64),
  first_seen_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE ready (
  capture         INTEGER PRIMARY KEY REFERENCES captures (id),
  state           TEXT    NOT NULL CHECK (state IN ('done', 'partial')),
  reason          TEXT    NOT NULL,
  camera_name     TEXT    NOT NULL,
  source          TEXT    NOT NULL CHECK (source IN ('lan', 'wan', 'cloud')),
  gaps            TEXT    NOT NULL,
  has_audio       INTEGER NOT NULL,
  starts_ms       INTEGER NOT NULL,
  window_end_s    INTEGER NOT NULL,
  next_attempt_ms INTEGER,
  sidecar         TEXT    NOT NULL
) STRICT;

CREATE TABLE facts (
  name  TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
)sql";

// From version 1: partial captures may be tried again, and the tables that came with that.
inline constexpr const char* set_version_1_aside = R"sql(
ALTER TABLE captures RENAME TO captures_1;
ALTER TABLE pins RENAME TO pins_1;
DROP INDEX captures_waiting;
DROP INDEX captures_leased;
)sql";
inline constexpr const char* take_over_version_1 = R"sql(
INSERT INTO captures (id, alert, camera, camera_name, location, activities, via, received_ms, alert_ms, duration_s,
    window_start_s, window_end_s, state, reason, attempts, next_attempt_ms, lease_owner, lease_until_ms, source, clip,
    bytes, sha256, gaps, finished_ms)
  SELECT id, alert, camera, camera_name, location, activities, via, received_ms, alert_ms, duration_s,
    window_start_s, window_end_s, state, reason, attempts, next_attempt_ms, lease_owner, lease_until_ms, source, clip,
    bytes, sha256, gaps, finished_ms FROM captures_1;
INSERT INTO pins SELECT * FROM pins_1;
DROP TABLE captures_1;
DROP TABLE pins_1;
)sql";

// From version 2: webhooks that never came, and clips to be removed.
inline constexpr const char* from_version_2 = R"sql(
ALTER TABLE captures ADD COLUMN webhook_missed INTEGER NOT NULL DEFAULT 0 CHECK (webhook_missed IN (0, 1));
CREATE INDEX captures_missed ON captures (alert_ms) WHERE webhook_missed = 1;
CREATE INDEX captures_future ON captures (alert_ms) WHERE state = 'ignored' AND reason = 'in the future';
CREATE TABLE leftovers (
  clip TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;
)sql";

// From version 3: ranges, retention, and who is told of finished captures.
inline constexpr const char* from_version_3 = R"sql(
ALTER TABLE captures ADD COLUMN kind TEXT NOT NULL DEFAULT 'alert' CHECK (kind IN ('alert', 'range'));
ALTER TABLE captures ADD COLUMN held INTEGER NOT NULL DEFAULT 0 CHECK (held IN (0, 1));
ALTER TABLE captures ADD COLUMN removed_ms INTEGER CHECK (removed_ms IS NULL OR clip IS NOT NULL);
ALTER TABLE captures ADD COLUMN damage TEXT NOT NULL DEFAULT '' CHECK (damage IN ('', 'damaged', 'missing'));
CREATE INDEX captures_clips ON captures (window_end_s) WHERE clip IS NOT NULL AND removed_ms IS NULL;
CREATE INDEX captures_named ON captures (clip) WHERE clip IS NOT NULL;
CREATE INDEX captures_held ON captures (alert) WHERE held = 1;

CREATE TABLE targets (
  name   TEXT PRIMARY KEY,
  states TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE deliveries (
  id           INTEGER PRIMARY KEY,
  target       TEXT    NOT NULL,
  capture      INTEGER NOT NULL REFERENCES captures (id),
  state        TEXT    NOT NULL CHECK (state IN ('done', 'partial', 'failed')),
  sha256       TEXT    NOT NULL,
  created_ms   INTEGER NOT NULL,
  attempts     INTEGER NOT NULL DEFAULT 0,
  next_ms      INTEGER,
  delivered_ms INTEGER CHECK (delivered_ms IS NULL OR next_ms IS NULL),
  reason       TEXT    NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX deliveries_due ON deliveries (target, next_ms) WHERE next_ms IS NOT NULL;
CREATE INDEX deliveries_given_up ON deliveries (target) WHERE next_ms IS NULL AND delivered_ms IS NULL;
CREATE INDEX deliveries_of ON deliveries (capture, target);
)sql";

// From version 4: totals that are kept, and what Rhombus says of the footage of clips.
inline constexpr const char* from_version_4 = R"sql(
ALTER TABLE captures ADD COLUMN presence TEXT NOT NULL DEFAULT ''
  CHECK (presence IN ('', 'pending', 'confirmed', 'unknown', 'off'));
ALTER TABLE captures ADD COLUMN sidecar_presence TEXT NOT NULL DEFAULT '';
ALTER TABLE ready ADD COLUMN presence TEXT NOT NULL DEFAULT '';
CREATE INDEX captures_unconfirmed ON captures (window_end_s) WHERE presence = 'pending';
CREATE INDEX captures_sidecars ON captures (id) WHERE sidecar_presence <> presence;

CREATE TABLE totals (
  state      TEXT    PRIMARY KEY,
  captures   INTEGER NOT NULL DEFAULT 0,
  clips      INTEGER NOT NULL DEFAULT 0,
  clip_bytes INTEGER NOT NULL DEFAULT 0,
  held       INTEGER NOT NULL DEFAULT 0,
  removed    INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
INSERT INTO totals (state) VALUES ('waiting'), ('capturing'), ('done'), ('partial'), ('failed'), ('ignored');
INSERT OR REPLACE INTO totals
  SELECT state, count(*), sum(clip IS NOT NULL AND removed_ms IS NULL),
    sum(CASE WHEN clip IS NOT NULL AND removed_ms IS NULL THEN coalesce(bytes, 0) ELSE 0 END),
    sum(clip IS NOT NULL AND removed_ms IS NULL AND held), sum(clip IS NOT NULL AND removed_ms IS NOT NULL)
  FROM captures GROUP BY state;

CREATE TRIGGER captures_counted AFTER INSERT ON captures BEGIN
  UPDATE totals SET captures = captures + 1,
    clips = clips + (new.clip IS NOT NULL AND new.removed_ms IS NULL),
    clip_bytes = clip_bytes + (new.clip IS NOT NULL AND new.removed_ms IS NULL) * coalesce(new.bytes, 0),
    held = held + (new.clip IS NOT NULL AND new.removed_ms IS NULL AND new.held),
    removed = removed + (new.clip IS NOT NULL AND new.removed_ms IS NOT NULL)
  WHERE state = new.state;
END;
CREATE TRIGGER captures_counted_anew AFTER UPDATE OF state, clip, bytes, held, removed_ms ON captures
WHEN (old.state, old.clip IS NULL, old.bytes, old.held, old.removed_ms IS NULL) IS NOT
  (new.state, new.clip IS NULL, new.bytes, new.held, new.removed_ms IS NULL) BEGIN
  UPDATE totals SET captures = captures - 1,
    clips = clips - (old.clip IS NOT NULL AND old.removed_ms IS NULL),
    clip_bytes = clip_bytes - (old.clip IS NOT NULL AND old.removed_ms IS NULL) * coalesce(old.bytes, 0),
    held = held - (old.clip IS NOT NULL AND old.removed_ms IS NULL AND old.held),
    removed = removed - (old.clip IS NOT NULL AND old.removed_ms IS NOT NULL)
  WHERE state = old.state;
  UPDATE totals SET captures = captures + 1,
    clips = clips + (new.clip IS NOT NULL AND new.removed_ms IS NULL),
    clip_bytes = clip_bytes + (new.clip IS NOT NULL AND new.removed_ms IS NULL) * coalesce(new.bytes, 0),
    held = held + (new.clip IS NOT NULL AND new.removed_ms IS NULL AND new.held),
    removed = removed + (new.clip IS NOT NULL AND new.removed_ms IS NOT NULL)
  WHERE state = new.state;
END;
CREATE INDEX captures_waiting ON captures (received_ms) WHERE state = 'waiting';
PRAGMA user_version = 5;
)sql";

}  // namespace responder::journal

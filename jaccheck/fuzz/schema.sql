-- The log of a campaign, version 1. All that is written at one time is one transaction: the totals fit the rows.
-- Texts that recur stand in `word`; the views `networks` and `verdicts` show the rows with their words.

CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    -- plan      JSON: seed, paths, properties, dtypes, devices, seconds, examples, keep_going, known, load, …
    -- versions  JSON: of jaccheck, torch, backpack, python, …
    -- machine   JSON: system, processor, cores, host
    -- started   Unix time; ended likewise, and absent while the campaign runs or if it was killed
    -- elapsed   seconds that it ran, resumed ones included
    -- stopped   by what: "examples", "seconds", "finding", "interrupted"
    -- replayed, shrinking: networks of earlier findings that were tried first; networks tried to make findings smaller
    value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE word (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);

CREATE TABLE network (
    id INTEGER PRIMARY KEY,  -- number in the campaign: place id % 500 in round id / 500, drawn with the seed "<seed>/<round>"
    at INTEGER NOT NULL,  -- Unix time in seconds
    worker INTEGER NOT NULL,  -- from 0
    outcome INTEGER NOT NULL REFERENCES word,  -- checked, refused (invalid), fault (of jaccheck's own), crashed, hung
    dtype INTEGER NOT NULL REFERENCES word,
    device INTEGER NOT NULL REFERENCES word,
    N INTEGER NOT NULL,  -- samples
    C INTEGER NOT NULL,  -- outputs
    depth INTEGER NOT NULL,  -- linear layers
    parameters INTEGER NOT NULL,
    layers INTEGER NOT NULL REFERENCES word,  -- kinds of layers, each once, in the order of the alphabet, with spaces between
    features INTEGER NOT NULL,  -- has a feature iff: features >> feature.bit & 1
    property INTEGER REFERENCES word,  -- the one in turn, asked beside those that are asked of each network
    microseconds INTEGER NOT NULL  -- of the whole check
);

CREATE TABLE verdict (
    network INTEGER NOT NULL REFERENCES network,
    path INTEGER NOT NULL REFERENCES word,
    status INTEGER NOT NULL REFERENCES word,  -- agrees, known (disagrees, as a known defect), disagrees, unsupported, vacuous
    property INTEGER NOT NULL REFERENCES word,  -- that says so
    kind INTEGER REFERENCES word,  -- of a disagreement
    ratio REAL,  -- |got - centre| / radius of the worst element outside; may be infinite
    sharpness REAL,  -- the smallest error that would certainly have been caught, in u relative to the largest entry; NULL: none
    microseconds INTEGER,  -- of the path alone
    elements INTEGER NOT NULL,  -- of the Jacobian, over all parameters
    vacuous INTEGER NOT NULL,  -- of which nothing is known
    PRIMARY KEY (network, path)
) WITHOUT ROWID;

CREATE TABLE known (  -- known defects that networks show
    defect TEXT NOT NULL,
    network INTEGER NOT NULL REFERENCES network,
    PRIMARY KEY (defect, network)
) WITHOUT ROWID;

CREATE TABLE finding (
    id INTEGER PRIMARY KEY,
    at REAL NOT NULL,  -- Unix time
    worker INTEGER NOT NULL,
    path TEXT NOT NULL,
    property TEXT NOT NULL,
    kind TEXT NOT NULL,
    shape TEXT NOT NULL,  -- of the error, if it isn't that of the first with the same path, property and kind
    network INTEGER,  -- where it was found; NULL if on the network of an earlier finding
    json TEXT NOT NULL,  -- as in its file, with the network that shows it
    report TEXT,  -- JSON, with pictures
    detail TEXT,  -- a traceback, or how the worker ended
    reproducer TEXT,  -- a script
    smallest INTEGER NOT NULL,  -- 1: the network is as small as it can be
    reproducible INTEGER NOT NULL,  -- 0: it comes and goes
    again INTEGER NOT NULL DEFAULT 0,  -- on how many other networks it was seen
    file TEXT,
    UNIQUE (path, property, kind, shape)
);

CREATE TABLE event (
    id INTEGER PRIMARY KEY,
    at REAL NOT NULL,  -- Unix time
    worker INTEGER,  -- NULL: the controller
    what TEXT NOT NULL,  -- started, resumed; of a worker: crashed, hung, abandoned (neither: the time was up)
    detail TEXT
);

-- Totals of the above, so that a report needn't go through all rows.

CREATE TABLE path_total (
    path TEXT, status TEXT, networks INTEGER NOT NULL, elements INTEGER NOT NULL, vacuous INTEGER NOT NULL,
    PRIMARY KEY (path, status)
) WITHOUT ROWID;

CREATE TABLE property_total (  -- of each property that was asked, also of those that a verdict doesn't name
    property TEXT, path TEXT, status TEXT, networks INTEGER NOT NULL,
    PRIMARY KEY (property, path, status)
) WITHOUT ROWID;

CREATE TABLE layer_total (
    path TEXT, dtype TEXT, device TEXT, layer TEXT, status TEXT, networks INTEGER NOT NULL,
    PRIMARY KEY (path, dtype, device, layer, status)
) WITHOUT ROWID;

CREATE TABLE feature (  -- also those that no network has had; bit is NULL where another column tells
    name TEXT PRIMARY KEY, bit INTEGER, networks INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE cost (
    path TEXT, dtype TEXT, device TEXT,
    size INTEGER,  -- 2^size <= elements of the Jacobian < 2^(size + 1)
    networks INTEGER NOT NULL, microseconds INTEGER NOT NULL,  -- of all of them together
    PRIMARY KEY (path, dtype, device, size)
) WITHOUT ROWID;

CREATE TABLE sharpness (
    path TEXT, dtype TEXT,
    quarter INTEGER,  -- 2^(quarter / 4) <= sharpness in u < 2^((quarter + 1) / 4); NULL isn't counted
    networks INTEGER NOT NULL,
    PRIMARY KEY (path, dtype, quarter)
) WITHOUT ROWID;

CREATE TABLE spent (what TEXT PRIMARY KEY, seconds REAL NOT NULL) WITHOUT ROWID;  -- properties, or shrinking
CREATE TABLE refused (reason TEXT PRIMARY KEY, networks INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE minute (minute INTEGER PRIMARY KEY, networks INTEGER NOT NULL);  -- Unix time / 60

CREATE VIEW networks AS
SELECT n.id, n.at, n.worker, o.text AS outcome, t.text AS dtype, d.text AS device, n.N, n.C, n.depth, n.parameters,
    l.text AS layers, n.features, p.text AS property, n.microseconds
FROM network n JOIN word o ON o.id = n.outcome JOIN word t ON t.id = n.dtype JOIN word d ON d.id = n.device
    JOIN word l ON l.id = n.layers LEFT JOIN word p ON p.id = n.property;

CREATE VIEW verdicts AS
SELECT v.network, a.text AS path, s.text AS status, p.text AS property, k.text AS kind, v.ratio, v.sharpness,
    v.microseconds, v.elements, v.vacuous
FROM verdict v JOIN word a ON a.id = v.path JOIN word s ON s.id = v.status JOIN word p ON p.id = v.property
    LEFT JOIN word k ON k.id = v.kind;

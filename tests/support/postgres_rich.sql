CREATE SCHEMA "we""ird ☃";
CREATE TYPE mood AS ENUM ('sad', 'ok', 'it''s');
CREATE DOMAIN posint AS int CHECK (VALUE > 0);
CREATE TYPE pair AS (a int, b text);
CREATE TABLE "we""ird ☃"."ta
ble -x" ("c:1" int PRIMARY KEY, "😀" text DEFAULT 'x');
INSERT INTO "we""ird ☃"."ta
ble -x" VALUES (1, '\.'), (2, '\N'), (3, E'tab\tand\nline\\'), (4, NULL), (5, '');
CREATE TABLE no_columns ();
INSERT INTO no_columns DEFAULT VALUES;
CREATE TABLE customer (
  id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL,
  shout text GENERATED ALWAYS AS (upper(name)) STORED, m mood, p posint, pr pair,
  gone int, UNIQUE (name));
ALTER TABLE customer DROP COLUMN gone;
INSERT INTO customer (name, m, p, pr)
  SELECT 'n' || g, 'ok', g, ROW(g, 'x')::pair FROM generate_series(1, 500) g;
CREATE TABLE sale (id bigserial, at date, amount numeric, customer int REFERENCES customer)
  PARTITION BY RANGE (at);
CREATE TABLE sale_1 PARTITION OF sale FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE TABLE sale_2 PARTITION OF sale FOR VALUES FROM ('2021-01-01') TO ('2022-01-01')
  PARTITION BY LIST (amount);
CREATE TABLE sale_2_rest PARTITION OF sale_2 DEFAULT;
CREATE INDEX ON sale (customer);
INSERT INTO sale (at, amount, customer)
  SELECT date '2020-01-01' + g, g, 1 + g % 500 FROM generate_series(0, 700) g;
CREATE TABLE by_mood (m mood, n int) PARTITION BY HASH (m);
CREATE TABLE by_mood_0 PARTITION OF by_mood FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE by_mood_1 PARTITION OF by_mood FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO by_mood SELECT (enum_range(NULL::mood))[1 + g % 3], g FROM generate_series(1, 90) g;
CREATE TABLE parent (id int);
CREATE TABLE child (extra text) INHERITS (parent);
INSERT INTO parent VALUES (1);
INSERT INTO child VALUES (2, 'c'), (3, 'd');
CREATE TABLE chicken (id int PRIMARY KEY, egg int);
CREATE TABLE egg (id int PRIMARY KEY,
  chicken int REFERENCES chicken DEFERRABLE INITIALLY DEFERRED);
ALTER TABLE chicken ADD FOREIGN KEY (egg) REFERENCES egg DEFERRABLE INITIALLY DEFERRED;
BEGIN;
INSERT INTO chicken VALUES (1, 1);
INSERT INTO egg VALUES (1, 1);
COMMIT;
CREATE TABLE secret (id int, owner name);
ALTER TABLE secret ENABLE ROW LEVEL SECURITY;
ALTER TABLE secret FORCE ROW LEVEL SECURITY;
CREATE POLICY mine ON secret USING (owner = current_user);
INSERT INTO secret VALUES (1, 'somebody'), (2, 'else');
CREATE UNLOGGED TABLE volatile AS SELECT 1 AS one;
CREATE TABLE wide AS SELECT g AS id, repeat(md5(g::text), 300) AS fat FROM generate_series(1, 50) g;
ALTER TABLE wide ALTER COLUMN fat SET STORAGE EXTERNAL;
CREATE VIEW names AS SELECT name FROM customer;
CREATE RULE silent AS ON INSERT TO names DO INSTEAD NOTHING;
CREATE MATERIALIZED VIEW totals AS SELECT customer, sum(amount) AS total FROM sale GROUP BY 1;
CREATE MATERIALIZED VIEW big AS SELECT * FROM totals WHERE total > 10;
CREATE MATERIALIZED VIEW not_filled AS SELECT 1 AS x WITH NO DATA;
CREATE INDEX ON totals (total);
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS
  'BEGIN RETURN NEW; END';
CREATE PROCEDURE nothing() LANGUAGE sql AS '';
CREATE AGGREGATE total_of (int) (SFUNC = int4pl, STYPE = int, INITCOND = 0);
CREATE TRIGGER touched BEFORE UPDATE ON customer FOR EACH ROW EXECUTE FUNCTION touch();
ALTER TABLE customer DISABLE TRIGGER touched;
CREATE TRIGGER each_sale AFTER INSERT ON sale FOR EACH ROW EXECUTE FUNCTION touch();
CREATE STATISTICS dependent ON at, amount FROM sale;
CREATE PUBLICATION everything FOR TABLE customer;
CREATE SEQUENCE never_used;
CREATE SEQUENCE used START 41;
SELECT nextval('used'), nextval('used');
SELECT lo_from_bytea(4711, 'large'), lo_create(4712), lo_put(lo_create(4713), 300000, 'sparse');
COMMENT ON TABLE customer IS 'it''s a "comment"';
SELECT EXISTS (SELECT 1 FROM pg_available_extensions WHERE name = 'hstore') AS has_hstore \gset
\if :has_hstore
CREATE EXTENSION hstore;
CREATE TABLE labelled AS SELECT 1 AS id, hstore('key', 'value') AS labels;
\endif
CREATE FOREIGN DATA WRAPPER nowhere;
CREATE SERVER far_away FOREIGN DATA WRAPPER nowhere;
CREATE FOREIGN TABLE distant (id int, what text) SERVER far_away;
CREATE TABLE by_list (kind text, n int) PARTITION BY LIST (kind);
CREATE TABLE "by list: a" PARTITION OF by_list FOR VALUES IN ('a');
CREATE TABLE by_list_rest PARTITION OF by_list DEFAULT;
INSERT INTO by_list SELECT CASE g % 3 WHEN 0 THEN 'a' END, g FROM generate_series(1, 60) g;
CREATE TABLE by_hash (n int) PARTITION BY HASH (n);
CREATE TABLE by_hash_0 PARTITION OF by_hash FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE by_hash_1 PARTITION OF by_hash FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO by_hash SELECT generate_series(1, 40);
CREATE TABLE moments (at timestamptz, day date, took interval, share float8, ratio float4);
INSERT INTO moments VALUES
  ('2026-02-03 04:05:06.789+00', '2026-02-03', '-1 day +02:03', 0.1 + 0.2, 1e-7),
  ('infinity', '0044-03-15 BC', '1 mon -4 days', 'NaN', '-Infinity');
CREATE TABLE tall AS SELECT g AS id, CASE WHEN g % 7 = 0 THEN '\.' ELSE md5(g::text) END AS said
  FROM generate_series(1, 6000) g;
DELETE FROM tall WHERE id BETWEEN 2000 AND 4000;

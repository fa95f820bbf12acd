SET sql_mode = '';
CREATE TABLE parent (id int PRIMARY KEY, child int) COMMENT 'it''s "quoted"';
CREATE TABLE child (id int PRIMARY KEY, parent int,
  CONSTRAINT `has a parent` FOREIGN KEY (parent) REFERENCES parent (id) ON DELETE CASCADE);
ALTER TABLE parent ADD CONSTRAINT fk_child FOREIGN KEY (child) REFERENCES child (id);
SET foreign_key_checks = 0;
INSERT INTO parent VALUES (1, 1), (2, NULL);
INSERT INTO child VALUES (1, 1);
SET foreign_key_checks = 1;
CREATE TABLE derived (a int, doubled int AS (a * 2) VIRTUAL, tripled int AS (a * 3) STORED,
  hidden int INVISIBLE DEFAULT 7, CHECK (a < 1000), INDEX (tripled));
INSERT INTO derived (a, hidden) VALUES (1, 8), (2, 9), (NULL, NULL);
CREATE TABLE kinds (id bigint unsigned AUTO_INCREMENT PRIMARY KEY, b bit(33), bin binary(5),
  vb varbinary(300), blobs longblob, j json, g geometry, p point, e enum ('a', 'b''c'),
  s set ('x', 'y'), f double, d decimal(65, 30), dt datetime(6), ts timestamp(3) NULL, t time(6),
  y year, zero date, u uuid, ip inet6, txt longtext) AUTO_INCREMENT = 4711;
INSERT INTO kinds (b, bin, vb, blobs, j, g, p, e, s, f, d, dt, ts, t, y, zero, u, ip, txt) VALUES
  (b'101010101010101010101010101010101', 'ab', x'00', NULL, '{"k": ["é", "\\n", null]}',
   ST_GeomFromText('POLYGON((0 0,1 0,1 1,0 0))', 4326), POINT(1.5, -2), 'b''c', 'x,y', 1e300,
   12345678901234567890.123456789012345678, '2024-02-29 23:59:59.999999',
   '1970-01-01 12:00:01.001', '-838:59:59.000000', 2155, '0000-00-00', UUID(), '::1',
   CONCAT('tab', CHAR(9), 'line', CHAR(10), 'return', CHAR(13), 'nul', CHAR(0), 'end', CHAR(26),
     'quotes '' " ` back\\slash 😀')),
  (0, '', '', '', '[]', NULL, NULL, NULL, '', -0.1, 0, '0000-00-00 00:00:00', NULL, '00:00:00', 0,
   '2024-00-00', NULL, NULL, '\n--\n-- Dumping data for table `parent`\n--\n'),
  (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
   NULL, NULL, NULL);
CREATE TABLE every_byte (n int PRIMARY KEY, b blob, c varchar(10) CHARACTER SET latin1);
INSERT INTO every_byte SELECT seq, UNHEX(LPAD(HEX(seq), 2, '0')),
  CONVERT(UNHEX(LPAD(HEX(seq), 2, '0')) USING latin1) FROM seq_0_to_255;
CREATE TABLE parted (id int, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (YEAR(at))
  SUBPARTITION BY HASH (id) SUBPARTITIONS 2
  (PARTITION old VALUES LESS THAN (2020), PARTITION new VALUES LESS THAN MAXVALUE);
INSERT INTO parted SELECT seq, DATE '2018-01-01' + INTERVAL seq DAY FROM seq_0_to_999;
CREATE TABLE latin (t varchar(50), INDEX (t)) CHARACTER SET latin1 COLLATE latin1_german2_ci;
INSERT INTO latin VALUES ('Straße'), ('naïve');
CREATE TABLE japanese (t varchar(50)) CHARACTER SET sjis;
INSERT INTO japanese VALUES ('表示ソ'), ('\\');
CREATE TABLE history (a int) WITH SYSTEM VERSIONING;
INSERT INTO history VALUES (1), (2);
UPDATE history SET a = 3 WHERE a = 1;
DELETE FROM history WHERE a = 2;
CREATE TABLE old_engine (a int, FULLTEXT (t), t text) ENGINE = MyISAM;
INSERT INTO old_engine VALUES (1, 'one'), (2, 'two');
CREATE TABLE empty_one (a int);
CREATE TABLE `it's "a" ``nasty`` - name; ☃ %s %(x)s \n` (`col``umn ☃` int, `%` int);
INSERT INTO `it's "a" ``nasty`` - name; ☃ %s %(x)s \n` VALUES (1, 2);
CREATE TABLE `--where=false` (a int);
INSERT INTO `--where=false` VALUES (1);
CREATE TABLE `line
end` (`also
here` int);
INSERT INTO `line
end` VALUES (1);
CREATE TABLE abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijkl (a int);
CREATE SEQUENCE counting START WITH 5 INCREMENT BY 3 CACHE 10;
SELECT NEXT VALUE FOR counting;
CREATE SEQUENCE untouched;
CREATE TABLE numbered (id bigint NOT NULL DEFAULT nextval(counting) COMMENT 'nextval(`x`.`y`)',
  twice bigint DEFAULT (2 * nextval(counting)), t text);
INSERT INTO numbered (t) VALUES ('one'), ('two');
CREATE TABLE log (what varchar(100), at timestamp DEFAULT now());
CREATE FUNCTION twice(x int) RETURNS int DETERMINISTIC RETURN x * 2;
CREATE DEFINER = 'absent'@'nowhere' FUNCTION ghostly() RETURNS int DETERMINISTIC RETURN 1;
CREATE VIEW z_base AS SELECT id, twice(id) AS d FROM parent;
CREATE VIEW a_top AS SELECT d FROM z_base WHERE id > 0 WITH CHECK OPTION;
CREATE ALGORITHM = MERGE DEFINER = 'absent'@'nowhere' SQL SECURITY INVOKER VIEW ghost_view AS
  SELECT a, 'parent`.`id' AS text FROM derived;
DELIMITER //
CREATE TRIGGER noting AFTER INSERT ON parent FOR EACH ROW BEGIN
  INSERT INTO log (what) VALUES ('DELIMITER ;;'), ('*/;;');
END//
CREATE TRIGGER noting_too AFTER INSERT ON parent FOR EACH ROW FOLLOWS noting
  INSERT INTO log (what) VALUES ('second')//
CREATE PROCEDURE clear_log(IN older int) SQL SECURITY INVOKER COMMENT 'a ''comment''' BEGIN
  /* a comment; with semicolons */
  DELETE FROM log WHERE what = CONCAT(older, ';');
END//
SET sql_mode = ORACLE//
CREATE PACKAGE accounts AS FUNCTION answer RETURN INT; END;//
CREATE PACKAGE BODY accounts AS FUNCTION answer RETURN INT IS BEGIN RETURN 42; END; END;//
SET sql_mode = ''//
CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY STARTS '2036-01-01 03:00:00'
  ON COMPLETION PRESERVE COMMENT 'ON COMPLETION NOT PRESERVE ENABLE' DO DELETE FROM log//
CREATE EVENT sleeping ON SCHEDULE AT '2036-01-01 00:00:00' DISABLE DO DELETE FROM log//
DELIMITER ;

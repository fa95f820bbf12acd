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
  hidden int DEFAULT 7 INVISIBLE, CHECK (a < 1000), INDEX (tripled), INDEX ((a + 1)));
INSERT INTO derived (a, hidden) VALUES (1, 8), (2, 9), (NULL, NULL);
CREATE TABLE kinds (id bigint unsigned AUTO_INCREMENT PRIMARY KEY, b bit(33), bin binary(5),
  vb varbinary(300), blobs longblob, j json, g geometry, p point, e enum ('a', 'b''c'),
  s set ('x', 'y'), f double, d decimal(65, 30), dt datetime(6), ts timestamp(3) NULL, t time(6),
  y year, zero date, v vector(3), txt longtext) AUTO_INCREMENT = 4711;
INSERT INTO kinds (b, bin, vb, blobs, j, g, p, e, s, f, d, dt, ts, t, y, zero, v, txt) VALUES
  (b'101010101010101010101010101010101', 'ab', x'00', NULL, '{"k": ["é", "\\n", null]}',
   ST_GeomFromText('POLYGON((0 0,1 0,1 1,0 0))', 4326), POINT(1.5, -2), 'b''c', 'x,y', 1e300,
   12345678901234567890.123456789012345678, '2024-02-29 23:59:59.999999',
   '1970-01-01 12:00:01.001', '-838:59:59.000000', 2155, '0000-00-00', STRING_TO_VECTOR('[1,2,3]'),
   CONCAT('tab', CHAR(9), 'line', CHAR(10), 'return', CHAR(13), 'nul', CHAR(0), 'end', CHAR(26),
     'quotes '' " ` back\\slash 😀')),
  (0, '', '', '', '[]', NULL, NULL, NULL, '', -0.1, 0, '0000-00-00 00:00:00', NULL, '00:00:00', 0,
   '2024-00-00', NULL, '\n--\n-- Dumping data for table `parent`\n--\n');
CREATE TABLE parted (id int, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (YEAR(at))
  SUBPARTITION BY HASH (id) SUBPARTITIONS 2
  (PARTITION old VALUES LESS THAN (2020), PARTITION new VALUES LESS THAN MAXVALUE);
INSERT INTO parted WITH RECURSIVE s (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM s WHERE n < 999)
  SELECT n, DATE '2018-01-01' + INTERVAL n DAY FROM s;
CREATE TABLE latin (t varchar(50) CHARACTER SET latin1 COLLATE latin1_german2_ci, INDEX (t))
  CHARACTER SET latin1 COLLATE latin1_german2_ci;
INSERT INTO latin VALUES ('Straße'), ('naïve');
CREATE TABLE modern (t varchar(50)) COLLATE utf8mb4_0900_ai_ci;
INSERT INTO modern VALUES ('ﬁ');
CREATE TABLE old_engine (a int, t text, FULLTEXT (t)) ENGINE = MyISAM;
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
CREATE PROCEDURE clear_log(IN older int) SQL SECURITY INVOKER COMMENT 'a ''comment''' BEGIN
  DELETE FROM log WHERE what = CONCAT(older, ';');
END//
CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY STARTS '2036-01-01 03:00:00'
  ON COMPLETION PRESERVE COMMENT 'ON COMPLETION NOT PRESERVE ENABLE' DO DELETE FROM log//
CREATE EVENT sleeping ON SCHEDULE AT '2036-01-01 00:00:00' DISABLE DO DELETE FROM log//
DELIMITER ;

-- Version 2: pages by position without walking all rows.
-- How many rows of a noun have an id in block N (ids 1024·N to 1024·N+1023), kept by triggers: page 10,000 is found by
-- adding up blocks instead of walking a million rows, and stays exact when rows go.
CREATE TABLE page_marks (
    noun  TEXT    NOT NULL,
    block INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (noun, block)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER profiles_mark_insert AFTER INSERT ON profiles BEGIN
    INSERT INTO page_marks VALUES ('profiles', NEW.id >> 10, 1) ON CONFLICT DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER profiles_mark_delete AFTER DELETE ON profiles BEGIN
    UPDATE page_marks SET count = count - 1 WHERE noun = 'profiles' AND block = OLD.id >> 10;
END;
CREATE TRIGGER customers_mark_insert AFTER INSERT ON customers BEGIN
    INSERT INTO page_marks VALUES ('customers', NEW.id >> 10, 1) ON CONFLICT DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER customers_mark_delete AFTER DELETE ON customers BEGIN
    UPDATE page_marks SET count = count - 1 WHERE noun = 'customers' AND block = OLD.id >> 10;
END;
CREATE TRIGGER client_applications_mark_insert AFTER INSERT ON client_applications BEGIN
    INSERT INTO page_marks VALUES ('client_applications', NEW.seq >> 10, 1) ON CONFLICT DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER client_applications_mark_delete AFTER DELETE ON client_applications BEGIN
    UPDATE page_marks SET count = count - 1 WHERE noun = 'client_applications' AND block = OLD.seq >> 10;
END;

INSERT INTO page_marks SELECT 'profiles', id >> 10, count(*) FROM profiles GROUP BY 2;
INSERT INTO page_marks SELECT 'customers', id >> 10, count(*) FROM customers GROUP BY 2;
INSERT INTO page_marks SELECT 'client_applications', seq >> 10, count(*) FROM client_applications GROUP BY 2;

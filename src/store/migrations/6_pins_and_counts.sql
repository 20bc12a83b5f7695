-- Where the secrets of a profile may go.
CREATE TABLE profile_pins (
    profile_id INTEGER PRIMARY KEY CONSTRAINT profile_pins_profile REFERENCES profiles ON DELETE CASCADE,
    key_id     TEXT    NOT NULL,
    sealed     BLOB    NOT NULL
) STRICT;

-- How many connections and assignments a profile has, and how many connections a customer, kept by triggers: an answer
-- that shows them counts nothing.
CREATE TABLE use_counts (
    what  TEXT    NOT NULL CONSTRAINT use_counts_what
          CHECK (what IN ('connections of profile', 'assignments of profile', 'connections of customer')),
    id    INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (what, id)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER connections_count_insert AFTER INSERT ON connections BEGIN
    INSERT INTO use_counts VALUES ('connections of profile', NEW.profile_id, 1) ON CONFLICT DO UPDATE SET count = count + 1;
    INSERT INTO use_counts SELECT 'connections of customer', NEW.customer_id, 1 WHERE NEW.customer_id IS NOT NULL
        ON CONFLICT DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER connections_count_delete AFTER DELETE ON connections BEGIN
    UPDATE use_counts SET count = count - 1 WHERE what = 'connections of profile' AND id = OLD.profile_id;
    UPDATE use_counts SET count = count - 1 WHERE what = 'connections of customer' AND id = OLD.customer_id;
END;
CREATE TRIGGER connections_count_update AFTER UPDATE OF profile_id, customer_id ON connections BEGIN
    UPDATE use_counts SET count = count - 1 WHERE what = 'connections of profile' AND id = OLD.profile_id;
    UPDATE use_counts SET count = count - 1 WHERE what = 'connections of customer' AND id = OLD.customer_id;
    INSERT INTO use_counts VALUES ('connections of profile', NEW.profile_id, 1) ON CONFLICT DO UPDATE SET count = count + 1;
    INSERT INTO use_counts SELECT 'connections of customer', NEW.customer_id, 1 WHERE NEW.customer_id IS NOT NULL
        ON CONFLICT DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER assignments_count_insert AFTER INSERT ON assignments BEGIN
    INSERT INTO use_counts VALUES ('assignments of profile', NEW.profile_id, 1) ON CONFLICT DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER assignments_count_delete AFTER DELETE ON assignments BEGIN
    UPDATE use_counts SET count = count - 1 WHERE what = 'assignments of profile' AND id = OLD.profile_id;
END;
CREATE TRIGGER assignments_count_update AFTER UPDATE OF profile_id ON assignments BEGIN
    UPDATE use_counts SET count = count - 1 WHERE what = 'assignments of profile' AND id = OLD.profile_id;
    INSERT INTO use_counts VALUES ('assignments of profile', NEW.profile_id, 1) ON CONFLICT DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER profiles_count_delete AFTER DELETE ON profiles BEGIN
    DELETE FROM use_counts WHERE what IN ('connections of profile', 'assignments of profile') AND id = OLD.id;
END;
CREATE TRIGGER customers_count_delete AFTER DELETE ON customers BEGIN
    DELETE FROM use_counts WHERE what = 'connections of customer' AND id = OLD.id;
END;
INSERT INTO use_counts SELECT 'connections of profile', profile_id, count(*) FROM connections GROUP BY profile_id;
INSERT INTO use_counts SELECT 'assignments of profile', profile_id, count(*) FROM assignments GROUP BY profile_id;
INSERT INTO use_counts
    SELECT 'connections of customer', customer_id, count(*) FROM connections WHERE customer_id IS NOT NULL GROUP BY customer_id;
CREATE INDEX connections_by_account ON connections (profile_id, account_id) WHERE account_id IS NOT NULL;

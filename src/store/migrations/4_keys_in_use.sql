-- How many values a key still seals is counted without a walk over all of them.

CREATE INDEX connections_by_input_key ON connections (input_key_id) WHERE input_key_id IS NOT NULL;
CREATE INDEX grants_by_key ON grants (key_id);

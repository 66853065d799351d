CREATE TABLE visits (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id bigint NOT NULL REFERENCES customers (id) ON DELETE CASCADE,
    visited_on  date NOT NULL,
    note        text NOT NULL DEFAULT '',
    who         text NOT NULL CHECK (who <> ''),
    created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX visits_customer ON visits (customer_id, visited_on DESC, id DESC);

CREATE TABLE customers (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text NOT NULL CHECK (name <> ''),
    email      text NOT NULL DEFAULT '',
    phone      text NOT NULL DEFAULT '',
    company    text NOT NULL DEFAULT '',
    notes      text NOT NULL DEFAULT '',
    -- SHA-256 and extension of a file in the uploads directory.
    photo      text CHECK (photo ~ '^[0-9a-f]{64}\.(jpg|png|webp)$'),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX customers_order ON customers (lower(name), id);
CREATE INDEX customers_photo ON customers (photo) WHERE photo IS NOT NULL;

CREATE TABLE users (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    login         text NOT NULL UNIQUE CHECK (login = lower(login) AND login <> ''),
    password_hash text NOT NULL,
    -- Part of every session cookie: raising it makes the older cookies invalid.
    session_epoch integer NOT NULL DEFAULT 0,
    created_at    timestamptz NOT NULL DEFAULT now()
);

-- No foreign key: failures are counted for unknown logins too, or the count would tell them apart.
CREATE TABLE login_failures (
    login     text NOT NULL,
    failed_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX login_failures_login ON login_failures (login, failed_at);

-- A try to log in is counted before its password is looked at, for the login and the address of who
-- tries together. Such a row is taken back when the password was right. An earlier release adds rows
-- without an address, which count for nobody here, and counts all rows of a login, as it did.
ALTER TABLE login_failures
    ADD COLUMN id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ADD COLUMN address text NOT NULL DEFAULT '',
    -- The password is being looked at.
    ADD COLUMN pending boolean NOT NULL DEFAULT false;
CREATE INDEX login_failures_address ON login_failures (address, failed_at);
CREATE INDEX login_failures_old ON login_failures (failed_at);

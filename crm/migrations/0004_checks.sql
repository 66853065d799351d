-- An account that automatic checks use on a site that lives. It sees, makes and removes customers
-- of its own only, which nobody else sees. Row security has all queries keep to that, also those of
-- an earlier release, which knows nothing of it.
ALTER TABLE users ADD COLUMN for_checks boolean NOT NULL DEFAULT false;

-- 'on' in the transactions of that account; see application/database.py.
CREATE FUNCTION by_checks() RETURNS boolean LANGUAGE sql STABLE
    AS $$ SELECT current_setting('crm.for_checks', true) IS NOT DISTINCT FROM 'on' $$;

ALTER TABLE customers ADD COLUMN for_checks boolean NOT NULL DEFAULT by_checks();
CREATE INDEX customers_for_checks ON customers (for_checks);
CREATE POLICY seen ON customers USING (for_checks = by_checks());
CREATE POLICY seen ON visits
    USING (EXISTS (SELECT FROM customers WHERE customers.id = visits.customer_id));
ALTER TABLE customers ENABLE ROW LEVEL SECURITY;
ALTER TABLE visits ENABLE ROW LEVEL SECURITY;
-- The application's role owns them, and owners are exempt otherwise.
ALTER TABLE customers FORCE ROW LEVEL SECURITY;
ALTER TABLE visits FORCE ROW LEVEL SECURITY;

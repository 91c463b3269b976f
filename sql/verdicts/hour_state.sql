SELECT table_name, dt, hh, closed_fingerprint, verified_fingerprint FROM hour_state;

SELECT table_name, dt, hh, closed_fingerprint AS closed, verified_fingerprint AS verified FROM hour_state

-- Opens an alarm unless the subject has an open one; gives a row only when it is new.
INSERT INTO alarm (subject, text) VALUES (%(subject)s, %(text)s)
ON CONFLICT (subject) WHERE closed_at IS NULL DO NOTHING
RETURNING id

package index

// Looked is how many rows FindBases has looked at.
func (m *Mailbox) Looked() int { return m.looked }

package imap

// appendObjectID appends an object identifier as it stands in responses (RFC 8474,
// section 7).
func appendObjectID(b []byte, id string) []byte {
	return append(append(append(b, '('), id...), ')')
}

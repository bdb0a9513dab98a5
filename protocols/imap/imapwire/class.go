package imapwire

// class is a set of character classes of the formal syntax (RFC 3501, section
// 9; RFC 9051, section 9).
type class uint8

const (
	classAtom    class = 1 << iota // ATOM-CHAR
	classAString                   // ASTRING-CHAR: ATOM-CHAR and "]"
	classTag                       // ASTRING-CHAR except "+"
	classList                      // list-char: ASTRING-CHAR and "%" "*"
	classItem                      // ATOM-CHAR except "[": the name of a fetch item
	classQuoted                    // stands for itself in a quoted string
	classDigit                     // DIGIT
	classBase64                    // base64-char and "="
)

// classes is never written to.
var classes = makeClasses()

func makeClasses() (t [256]class) {
	for i := range 256 {
		c := byte(i)
		if c != 0 && c != '\r' && c != '\n' && c != '"' && c != '\\' {
			t[c] |= classQuoted
		}
		if '0' <= c && c <= '9' {
			t[c] |= classDigit | classBase64
		}
		if 'a' <= c|0x20 && c|0x20 <= 'z' || c == '+' || c == '/' || c == '=' {
			t[c] |= classBase64
		}
		if c <= ' ' || c >= 0x7f {
			continue
		}
		switch c {
		case '(', ')', '{', '"', '\\':
		case '%', '*':
			t[c] |= classList
		case ']':
			t[c] |= classAString | classTag | classList
		case '+':
			t[c] |= classAtom | classAString | classList | classItem
		case '[':
			t[c] |= classAtom | classAString | classTag | classList
		default:
			t[c] |= classAtom | classAString | classTag | classList | classItem
		}
	}
	return t
}

// EqualFold reports whether b is s when the case of ASCII letters does not
// count. It does not allocate.
func EqualFold[S ~[]byte | ~string](b S, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i := range len(b) {
		if upper(b[i]) != upper(s[i]) {
			return false
		}
	}
	return true
}

func upper(c byte) byte {
	if 'a' <= c && c <= 'z' {
		return c - 0x20
	}
	return c
}

func upperInPlace(b []byte) []byte {
	for i, c := range b {
		b[i] = upper(c)
	}
	return b
}

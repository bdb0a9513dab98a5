package message

import (
	"strconv"
	"strings"
)

// DecodeParam returns the value of a parameter as text: the pieces of an RFC
// 2231 continuation joined, percent encoding and charset undone, and encoded
// words decoded, which RFC 2047 forbids there and many senders use. ok tells
// whether the parameter is there. The name is given in lower case.
func DecodeParam(params []Param, name string) (value string, ok bool) {
	var plain string
	var pieces map[int]Param // name: "*" if encoded
	for _, q := range params {
		rest, found := strings.CutPrefix(q.Name, name)
		switch {
		case !found:
		case rest == "":
			if !ok {
				plain, ok = q.Value, true
			}
		case rest == "*": // RFC 2231, section 4
			return decodeExtended(q.Value), true
		case rest[0] == '*': // RFC 2231, section 3
			num, star := strings.CutSuffix(rest[1:], "*")
			n, err := strconv.Atoi(num)
			if err != nil || n < 0 {
				continue
			}
			if pieces == nil {
				pieces = make(map[int]Param)
			}
			if _, dup := pieces[n]; !dup {
				mark := ""
				if star {
					mark = "*"
				}
				pieces[n] = Param{mark, q.Value}
			}
		}
	}
	if first, have := pieces[0]; have {
		return joinPieces(pieces, first), true
	}
	return DecodeText(plain), ok
}

func joinPieces(pieces map[int]Param, first Param) string {
	charset := ""
	var b []byte
	for n := 0; ; n++ {
		q, have := pieces[n]
		if !have {
			break
		}
		v := q.Value
		if n == 0 && first.Name == "*" {
			charset, v = splitExtended(v)
		}
		if q.Name == "*" {
			b = appendUnescaped(b, v)
		} else {
			b = append(b, v...)
		}
	}
	return toUTF8(b, charset)
}

func decodeExtended(v string) string {
	charset, v := splitExtended(v)
	return toUTF8(appendUnescaped(nil, v), charset)
}

// splitExtended takes charset'language'value apart.
func splitExtended(v string) (charset, value string) {
	if charset, rest, ok := strings.Cut(v, "'"); ok {
		if _, value, ok := strings.Cut(rest, "'"); ok {
			return charset, value
		}
	}
	return "", v
}

func appendUnescaped(b []byte, v string) []byte {
	for i := 0; i < len(v); i++ {
		if v[i] == '%' && i+2 < len(v) {
			hi, lo := unhex(v[i+1]), unhex(v[i+2])
			if hi >= 0 && lo >= 0 {
				b = append(b, byte(hi<<4|lo))
				i += 2
				continue
			}
		}
		b = append(b, v[i])
	}
	return b
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// hasExtended reports whether a parameter is there in a form of RFC 2231.
func hasExtended(params []Param, name string) bool {
	for _, q := range params {
		if strings.HasPrefix(q.Name, name) && strings.HasPrefix(q.Name[len(name):], "*") {
			return true
		}
	}
	return false
}

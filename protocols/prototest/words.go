package prototest

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// split cuts a line into words. A Go string in a word stands for what it holds,
// spaces included, and parentheses after = keep what is in them together.
func split(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	begun, parens := false, false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case (c == ' ' || c == '\t') && !parens:
			if begun {
				words = append(words, word.String())
				word.Reset()
				begun = false
			}
		case c == '"':
			q, err := strconv.QuotedPrefix(line[i:])
			if err != nil {
				return nil, fmt.Errorf("%s does not begin with a Go string", line[i:])
			}
			s, err := strconv.Unquote(q)
			if err != nil {
				return nil, fmt.Errorf("%s is not a Go string", q)
			}
			word.WriteString(s)
			begun = true
			i += len(q) - 1
		default:
			if c == '(' && strings.HasSuffix(word.String(), "=") {
				parens = true
			} else if c == ')' {
				parens = false
			}
			word.WriteByte(c)
			begun = true
		}
	}
	if parens {
		return nil, fmt.Errorf("( without )")
	}
	if begun {
		words = append(words, word.String())
	}
	return words, nil
}

// fileRef returns the bytes of a file of the archive or of a part of it:
// FILE, FILE:header, FILE:text, FILE:OFFSET.COUNT.
func (p *parser) fileRef(ref string) ([]byte, error) {
	if data, ok := p.files[ref]; ok {
		return data, nil
	}
	i := strings.LastIndexByte(ref, ':')
	if i < 0 {
		return nil, fmt.Errorf("no file %s in the archive", ref)
	}
	data, ok := p.files[ref[:i]]
	if !ok {
		return nil, fmt.Errorf("no file %s in the archive", ref[:i])
	}
	part := ref[i+1:]
	switch part {
	case "header", "text":
		header, text := data, []byte{}
		if bytes.HasPrefix(data, []byte("\r\n")) {
			header, text = data[:2], data[2:]
		} else if end := bytes.Index(data, []byte("\r\n\r\n")); end >= 0 {
			header, text = data[:end+4], data[end+4:]
		}
		if part == "header" {
			return header, nil
		}
		return text, nil
	}
	offset, count, ok := strings.Cut(part, ".")
	from, err1 := strconv.ParseUint(offset, 10, 31)
	n, err2 := strconv.ParseUint(count, 10, 31)
	if !ok || err1 != nil || err2 != nil {
		return nil, fmt.Errorf("%q is not a part of a file: header, text or OFFSET.COUNT", part)
	}
	from = min(from, uint64(len(data)))
	return data[from:min(from+n, uint64(len(data)))], nil
}

// escaped replaces the escapes in a file of the archive (the file line).
func (p *parser) escaped(name string) error {
	src, ok := p.raw[name]
	if !ok {
		return fmt.Errorf("no file %s in the archive", name)
	}
	if p.messageCount > 0 {
		return fmt.Errorf("file lines come before message lines")
	}
	out := make([]byte, 0, len(src))
	for i := 0; i < len(src); i++ {
		c := src[i]
		if c == '\n' {
			out = append(out, '\r', '\n')
			continue
		}
		if c != '\\' {
			out = append(out, c)
			continue
		}
		i++
		if i == len(src) {
			return fmt.Errorf(`file %s: \ at the end`, name)
		}
		switch src[i] {
		case '\n': // the line goes on
		case 'r':
			out = append(out, '\r')
		case 'n':
			out = append(out, '\n')
		case 't':
			out = append(out, '\t')
		case '\\':
			out = append(out, '\\')
		case 'x':
			if i+2 >= len(src) {
				return fmt.Errorf(`file %s: want two digits after \x`, name)
			}
			b, err := strconv.ParseUint(string(src[i+1:i+3]), 16, 8)
			if err != nil {
				return fmt.Errorf(`file %s: want two digits after \x`, name)
			}
			out = append(out, byte(b))
			i += 2
		default:
			return fmt.Errorf(`file %s: \%c is not known`, name, src[i])
		}
	}
	p.files[name] = out
	return nil
}

// crlf returns data with CRLF for every LF that has no CR before it.
func crlf(data []byte) []byte {
	out := make([]byte, 0, len(data)+bytes.Count(data, []byte("\n")))
	var before byte
	for _, c := range data {
		if c == '\n' && before != '\r' {
			out = append(out, '\r')
		}
		out = append(out, c)
		before = c
	}
	return out
}

// dotted returns data with a second dot where a dot begins a line.
func dotted(data []byte) []byte {
	out := make([]byte, 0, len(data))
	start := true
	for _, c := range data {
		if c == '.' && start {
			out = append(out, '.')
		}
		out = append(out, c)
		start = c == '\n'
	}
	return out
}

package prototest

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// pattern is a line (or raw bytes) with {{...}} in it.
type pattern struct {
	segments []segment
	re       *regexp.Regexp // compiled beforehand when nothing kept is in it
}

type segment struct {
	kind  segmentKind
	text  string // of text, repeat and digest; the source of an expression
	name  string // of a capture, of a variable and of a digest
	count int    // of repeat
}

type segmentKind int

const (
	segText   segmentKind = iota // text as it stands
	segRepeat                    // text, count times
	segVar                       // what was kept under name
	segMD5                       // the MD5 of what was kept under name and of text, in hexadecimal
	segRegexp                    // anything that the expression matches, kept under name if there is one
)

// maxRepeat bounds what {{repeat}} makes in one script.
const maxRepeat = 64 << 20

// textPattern is a pattern that is exactly s.
func textPattern(s string) *pattern {
	return &pattern{segments: []segment{{kind: segText, text: s}}}
}

// literal tells whether the pattern has one form only, once what was kept is
// known.
func (pt *pattern) literal() bool {
	for _, s := range pt.segments {
		if s.kind == segRegexp {
			return false
		}
	}
	return true
}

// names returns the names under which the pattern keeps something.
func (pt *pattern) names() []string {
	var names []string
	for _, s := range pt.segments {
		if s.kind == segRegexp && s.name != "" {
			names = append(names, s.name)
		}
	}
	return names
}

// expand returns the bytes of a literal pattern.
func (pt *pattern) expand(vars map[string]string) []byte {
	var b []byte
	for _, s := range pt.segments {
		switch s.kind {
		case segText:
			b = append(b, s.text...)
		case segRepeat:
			b = append(b, strings.Repeat(s.text, s.count)...)
		case segVar:
			b = append(b, vars[s.name]...)
		case segMD5:
			sum := md5.Sum([]byte(vars[s.name] + s.text))
			b = hex.AppendEncode(b, sum[:])
		}
	}
	return b
}

// match tells whether the whole of data is as the pattern wants, and adds what it
// keeps to vars when it is.
func (pt *pattern) match(data []byte, vars map[string]string) bool {
	if pt.literal() {
		return string(pt.expand(vars)) == string(data)
	}
	re := pt.re
	if re == nil {
		var err error
		if re, err = pt.compile(vars); err != nil {
			return false // something kept is not UTF-8: nothing that was sent can be compared
		}
	}
	groups := re.FindSubmatch(data)
	if groups == nil {
		return false
	}
	for _, name := range pt.names() {
		vars[name] = string(groups[re.SubexpIndex(name)])
	}
	return true
}

func (pt *pattern) compile(vars map[string]string) (*regexp.Regexp, error) {
	var b strings.Builder
	b.WriteString(`\A`)
	for _, s := range pt.segments {
		switch {
		case s.kind != segRegexp:
			one := pattern{segments: []segment{s}}
			text := one.expand(vars)
			if !utf8.Valid(text) {
				return nil, errors.New(`text that is not UTF-8 and {{regexp}} do not go together in one line`)
			}
			b.WriteString(regexp.QuoteMeta(string(text)))
		case s.name != "":
			fmt.Fprintf(&b, "(?P<%s>(?s:%s))", s.name, s.text)
		default:
			fmt.Fprintf(&b, "(?s:%s)", s.text)
		}
	}
	b.WriteString(`\z`)
	return regexp.Compile(b.String())
}

// side says which forms a pattern may take.
type side int

const (
	fromClient side = iota // no expressions
	fromServer
	forbidden // expressions, but nothing to keep
)

// pattern reads the text of a line.
func (p *parser) pattern(src string, from side) (*pattern, error) {
	pt := new(pattern)
	hasVar := false
	kept := make(map[string]bool)
	for src != "" {
		i := strings.Index(src, "{{")
		if i < 0 {
			pt.text(src)
			break
		}
		for strings.HasPrefix(src[i+1:], "{{") {
			i++ // {{{x}}}: the outer braces are text
		}
		pt.text(src[:i])
		seg, rest, err := p.span(src[i+2:])
		if err != nil {
			return nil, err
		}
		switch {
		case seg.kind == segRegexp && from == fromClient:
			return nil, fmt.Errorf("{{%s}}: the client's lines take no regular expressions", seg.text)
		case seg.kind == segRegexp && from == forbidden && seg.name != "":
			return nil, fmt.Errorf("{{%s=...}}: nothing is kept of a line that must not come", seg.name)
		case seg.kind == segRegexp && seg.name != "" && (p.vars[seg.name] || kept[seg.name]):
			return nil, fmt.Errorf("{{%s=...}}: the name is taken; {{$%s}} compares with what was kept", seg.name, seg.name)
		case (seg.kind == segVar || seg.kind == segMD5) && !p.vars[seg.name]:
			return nil, fmt.Errorf("{{$%s}}: no line before this one keeps it", seg.name)
		}
		if seg.kind == segRegexp && seg.name != "" {
			kept[seg.name] = true
		}
		hasVar = hasVar || seg.kind == segVar || seg.kind == segMD5
		pt.segments = append(pt.segments, seg)
		src = rest
	}
	if !hasVar && !pt.literal() {
		re, err := pt.compile(nil)
		if err != nil {
			return nil, err
		}
		pt.re = re
	}
	return pt, nil
}

func (pt *pattern) text(s string) {
	if s != "" {
		pt.segments = append(pt.segments, segment{kind: segText, text: s})
	}
}

var (
	captureName  = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9]*)=`)
	variableName = regexp.MustCompile(`^\$([A-Za-z][A-Za-z0-9]*)$`)
)

// span reads what stands between {{ and }}; src begins after {{, rest after }}.
func (p *parser) span(src string) (seg segment, rest string, err error) {
	if strings.HasPrefix(src, `"`) {
		text, rest, err := quoted(src)
		return segment{kind: segText, text: text}, rest, err
	}
	if arg, ok := strings.CutPrefix(src, "base64 "); ok {
		text, rest, err := quoted(arg)
		return segment{kind: segText, text: base64.StdEncoding.EncodeToString([]byte(text))}, rest, err
	}
	if arg, ok := strings.CutPrefix(src, "md5 "); ok {
		name, arg, _ := strings.Cut(arg, " ")
		m := variableName.FindStringSubmatch(name)
		if m == nil {
			return seg, "", fmt.Errorf("{{md5 %s}} does not begin with $name", name)
		}
		text, rest, err := quoted(arg)
		return segment{kind: segMD5, name: m[1], text: text}, rest, err
	}
	if arg, ok := strings.CutPrefix(src, "repeat "); ok {
		number, arg, _ := strings.Cut(arg, " ")
		text, rest, err := quoted(arg)
		if err != nil {
			return seg, "", err
		}
		n, err := strconv.Atoi(number)
		if err != nil || n < 0 || n > maxRepeat || n*len(text) > maxRepeat-p.repeated {
			return seg, "", fmt.Errorf("{{repeat %s}}: want a number, and at most %d bytes in a script", number, maxRepeat)
		}
		p.repeated += n * len(text)
		return segment{kind: segRepeat, text: text, count: n}, rest, nil
	}

	inner, rest, ok := balanced(src)
	if !ok {
		return seg, "", fmt.Errorf("{{ without }}")
	}
	if strings.HasPrefix(inner, "$") {
		m := variableName.FindStringSubmatch(inner)
		if m == nil {
			return seg, "", fmt.Errorf("{{%s}} is not {{$name}}", inner)
		}
		return segment{kind: segVar, name: m[1]}, rest, nil
	}
	if ref, ok := strings.CutPrefix(inner, "len "); ok {
		data, err := p.fileRef(strings.TrimSpace(ref))
		return segment{kind: segText, text: strconv.Itoa(len(data))}, rest, err
	}
	seg = segment{kind: segRegexp, text: inner}
	if m := captureName.FindStringSubmatch(inner); m != nil {
		seg.name, seg.text = m[1], inner[len(m[0]):]
	}
	// Alone first, so that an unbalanced parenthesis cannot close a group of ours.
	if _, err := regexp.Compile(seg.text); err != nil {
		return seg, "", fmt.Errorf("{{%s}}: %w", inner, err)
	}
	return seg, rest, nil
}

// balanced cuts src at the first }} before which braces are in pairs, so that
// [0-9]{3} may stand before it.
func balanced(src string) (inner, rest string, ok bool) {
	depth := 0
	for i := 0; i < len(src); i++ {
		switch src[i] {
		case '\\':
			i++
		case '{':
			depth++
		case '}':
			if depth > 0 {
				depth--
			} else if strings.HasPrefix(src[i:], "}}") {
				return src[:i], src[i+2:], true
			}
		}
	}
	return "", "", false
}

// quoted reads a Go string that }} follows.
func quoted(src string) (text, rest string, err error) {
	if !strings.HasPrefix(src, `"`) {
		return "", "", fmt.Errorf("%q does not begin with a Go string", src)
	}
	q, err := strconv.QuotedPrefix(src)
	if err != nil {
		return "", "", fmt.Errorf("%q does not begin with a Go string", src)
	}
	if text, err = strconv.Unquote(q); err != nil {
		return "", "", fmt.Errorf("%s is not a Go string", q)
	}
	rest, ok := strings.CutPrefix(src[len(q):], "}}")
	if !ok {
		return "", "", fmt.Errorf("}} does not follow %s", q)
	}
	return text, rest, nil
}

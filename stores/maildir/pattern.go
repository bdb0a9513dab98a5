package maildir

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// maxAccount is the longest name of an account, in octets.
const maxAccount = 255

// pattern says where an account's Maildir is.
type pattern struct {
	root  string   // the operator's own directory
	below []string // components below it, with %u %n %d in them
}

// parsePattern reads a path. Without a pattern in it, accounts are directories in it.
func parsePattern(path string) (pattern, error) {
	if path == "" {
		return pattern{}, errors.New("the path is empty")
	}
	if strings.IndexByte(path, 0) >= 0 {
		return pattern{}, errors.New("the path holds a NUL")
	}
	path = filepath.Clean(path)
	parts := strings.Split(path, "/")
	first := len(parts)
	for i, part := range parts {
		if strings.Contains(part, "%") && first == len(parts) {
			first = i
		}
		if _, err := expand(part, "u", "n", "d"); err != nil {
			return pattern{}, err
		}
	}
	p := pattern{root: strings.Join(parts[:first], "/"), below: parts[first:]}
	switch {
	case p.root == "" && first > 0:
		p.root = "/"
	case p.root == "":
		p.root = "."
	}
	if len(p.below) == 0 {
		p.below = []string{"%u"}
	}
	for _, part := range p.below {
		if strings.HasPrefix(part, ".") {
			return pattern{}, fmt.Errorf("%q: what follows a pattern does not begin with a dot", part)
		}
	}
	for _, part := range p.below {
		if err := unambiguous(part); err != nil {
			return pattern{}, err
		}
	}
	if !strings.Contains(strings.Join(p.below, "/"), "%u") && !strings.Contains(strings.Join(p.below, "/"), "%n") {
		return pattern{}, errors.New("the path names no user: it needs %u or %n")
	}
	return p, nil
}

// unambiguous refuses a component that could be the same for two users: with "%n-%d" a-b at
// c and a at b-c would share a Maildir.
func unambiguous(part string) error {
	variables := 0
	for i := 0; i+1 < len(part); i++ {
		if part[i] == '%' {
			if i++; part[i] != '%' {
				variables++
			}
		}
	}
	if variables < 2 || strings.Contains(part, "%u") || part == "%n@%d" {
		return nil
	}
	return fmt.Errorf("%q could be the same for two users: give %%n and %%d a component each, or write %%u", part)
}

// account returns the components of an account's path below the root. Names that could
// lead elsewhere, or to something of the store's, are refused.
func (p pattern) account(name string) ([]string, error) {
	switch {
	case name == "":
		return nil, errors.New("the name is empty")
	case len(name) > maxAccount:
		return nil, fmt.Errorf("longer than %d octets", maxAccount)
	}
	local, domain := name, ""
	if i := strings.LastIndexByte(name, '@'); i >= 0 {
		local, domain = name[:i], name[i+1:]
	}
	for _, part := range []string{name, local, domain} {
		if strings.HasPrefix(part, ".") || strings.ContainsAny(part, "/\x00") {
			return nil, errors.New("a name with / or NUL in it, or that begins with a dot")
		}
	}
	parts := make([]string, len(p.below))
	for i, part := range p.below {
		var err error
		if parts[i], err = expand(part, name, local, domain); err != nil {
			return nil, err
		}
		if parts[i] == "" || strings.HasPrefix(parts[i], ".") {
			return nil, fmt.Errorf("%q is empty for it", part)
		}
	}
	return parts, nil
}

// expand puts user, local part and domain in the place of %u, %n and %d.
func expand(part, user, local, domain string) (string, error) {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(part, "%")
		b.WriteString(before)
		if !ok {
			return b.String(), nil
		}
		switch {
		case strings.HasPrefix(rest, "u"):
			b.WriteString(user)
		case strings.HasPrefix(rest, "n"):
			b.WriteString(local)
		case strings.HasPrefix(rest, "d"):
			b.WriteString(domain)
		case strings.HasPrefix(rest, "%"):
			b.WriteByte('%')
		default:
			return "", fmt.Errorf("%%%.1s in the path: there are %%u, %%n, %%d and %%%%", rest)
		}
		part = rest[1:]
	}
}

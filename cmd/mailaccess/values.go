package main

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/hashmail/mailaccess/mailaccess/auth"
)

// defaultStore is the URL of the store of those commands that are not told another.
const defaultStore = "maildir:./mail"

// span is a flag for a length of time, in which days are allowed: "7d", "36h", "1d12h".
type span time.Duration

// Set implements pflag.Value.
func (s *span) Set(text string) error {
	d, err := parseSpan(text)
	*s = span(d)
	return err
}

// Type implements pflag.Value.
func (*span) Type() string { return "duration" }

// String implements pflag.Value.
func (s *span) String() string {
	d := time.Duration(*s)
	if d != 0 && d%(24*time.Hour) == 0 {
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	}
	return d.String()
}

func parseSpan(text string) (time.Duration, error) {
	days, rest, ok := strings.Cut(text, "d")
	if !ok {
		days, rest = "", text
	}
	var d time.Duration
	if ok {
		n, err := strconv.ParseUint(days, 10, 15)
		if err != nil {
			return 0, errors.New(`not a length of time, as "7d" or "36h"`)
		}
		d = time.Duration(n) * 24 * time.Hour
	}
	if rest != "" {
		more, err := time.ParseDuration(rest)
		if err != nil || more < 0 || more > math.MaxInt64-d {
			return 0, errors.New(`not a length of time, as "7d" or "36h"`)
		}
		d += more
	} else if !ok {
		return 0, errors.New(`not a length of time, as "7d" or "36h"`)
	}
	return d, nil
}

// octets is a flag for a size: "256MiB", "4GiB", "65536".
type octets int64

// units are ascending.
func (*octets) units() []string { return []string{"KiB", "MiB", "GiB", "TiB"} }

// Set implements pflag.Value.
func (o *octets) Set(text string) error {
	number, factor := text, int64(1)
	for i, unit := range o.units() {
		if n, ok := strings.CutSuffix(text, unit); ok {
			number, factor = n, 1<<(10*(i+1))
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n <= 0 || n > math.MaxInt64/factor {
		return errors.New(`not a size, as "256MiB" or "4GiB"`)
	}
	*o = octets(n * factor)
	return nil
}

// Type implements pflag.Value.
func (*octets) Type() string { return "size" }

// String implements pflag.Value.
func (o *octets) String() string {
	n, unit := int64(*o), ""
	for _, u := range o.units() {
		if n == 0 || n%1024 != 0 {
			break
		}
		n, unit = n/1024, u
	}
	return strconv.FormatInt(n, 10) + unit
}

// parseSince reads a time: in RFC 3339, a date (its beginning, here), or how long before now.
func parseSince(text string, now time.Time) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	if t, err := time.ParseInLocation(time.DateOnly, text, now.Location()); err == nil {
		return t, nil
	}
	d, err := parseSpan(text)
	if err != nil {
		return time.Time{}, fmt.Errorf(`%q: not a time, as "2026-03-01T12:00:00Z", "2026-03-01" or "3h"`, text)
	}
	return now.Add(-d), nil
}

// accountOf returns the account of a user, as the users file has it.
func accountOf(user string) (string, error) {
	name, err := auth.NormalizeUser(user)
	if err != nil {
		return "", fmt.Errorf("user %q: %w", user, err)
	}
	return name, nil
}

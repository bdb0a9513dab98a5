package main

import (
	"testing"
	"time"
)

func TestSpan(t *testing.T) {
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{
		"7d": 7 * day, "0": 0, "0d": 0, "36h": 36 * time.Hour, "1d12h": 36 * time.Hour, "90m": 90 * time.Minute,
		"": -1, "d": -1, "7": -1, "-1d": -1, "-1h": -1, "1d-1h": -1, "1.5d": -1, "7days": -1, "99999d": -1,
	} {
		var s span
		err := s.Set(text)
		if (err == nil) != (want >= 0) || err == nil && time.Duration(s) != want {
			t.Errorf("%q: %v, %v; want %v", text, time.Duration(s), err, want)
		}
		if err != nil {
			continue
		}
		var back span
		if err := back.Set(s.String()); err != nil || back != s {
			t.Errorf("%q is shown as %q, which is %v, %v", text, s.String(), back, err)
		}
	}
}

func TestOctets(t *testing.T) {
	for text, want := range map[string]int64{
		"256MiB": 256 << 20, "4GiB": 4 << 30, "65536": 65536, "1KiB": 1024, "1000": 1000, "1TiB": 1 << 40,
		"": -1, "0": -1, "-1": -1, "1MB": -1, "MiB": -1, "1.5GiB": -1, "9999999TiB": -1,
	} {
		var o octets
		err := o.Set(text)
		if (err == nil) != (want >= 0) || err == nil && int64(o) != want {
			t.Errorf("%q: %d, %v; want %d", text, o, err, want)
		}
		if err != nil {
			continue
		}
		var back octets
		if err := back.Set(o.String()); err != nil || back != o {
			t.Errorf("%q is shown as %q, which is %d, %v", text, o.String(), back, err)
		}
	}
}

func TestParseSince(t *testing.T) {
	zone := time.FixedZone("", 3600)
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, zone)
	for text, want := range map[string]time.Time{
		"2026-02-01T10:00:00Z": time.Date(2026, 2, 1, 10, 0, 0, 0, time.UTC),
		"2026-02-01":           time.Date(2026, 2, 1, 0, 0, 0, 0, zone),
		"3h":                   now.Add(-3 * time.Hour),
		"2d":                   now.Add(-48 * time.Hour),
		"yesterday":            {},
		"2026-02-30":           {},
		"":                     {},
	} {
		got, err := parseSince(text, now)
		if (err == nil) == want.IsZero() || !got.Equal(want) {
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		}
	}
}

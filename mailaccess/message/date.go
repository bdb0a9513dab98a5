package message

import (
	"strings"
	"time"
)

// ParseDate reads the value of a Date field (RFC 5322, section 3.3, with the
// obsolete forms of section 4.3), and what senders write instead of it: the
// weekday left out, other separators, no seconds, no zone, the forms of
// asctime and of RFC 3339. ok is false if no date can be made out.
//
// The location of the time is the zone that was written, or UTC, so that its
// Date method gives the day as the sender wrote it, which SENTBEFORE, SENTON
// and SENTSINCE compare (RFC 3501, section 6.4.4). A time of day that there is
// not becomes midnight, a zone that there is not UTC (RFC 5256, section 2.2).
func ParseDate(v string) (t time.Time, ok bool) {
	d := dateParser{lexer: lexer{s: v[:min(len(v), 200)]}, offset: noOffset}
	for !d.done() {
		d.word()
	}
	if !d.settle() {
		return time.Time{}, false
	}
	loc := time.UTC
	if d.offset != noOffset && d.offset != 0 {
		loc = time.FixedZone("", d.offset)
	}
	// A second 60 runs over into the next minute.
	return time.Date(d.year, time.Month(d.month), d.day, d.clock[0], d.clock[1], d.clock[2], 0, loc), true
}

const noOffset = 1 << 30

type dateParser struct {
	lexer
	numbers          []number // those that are neither time nor zone
	year, month, day int
	clock            [3]int
	timed            bool
	offset           int // seconds east of UTC
}

type number struct{ value, digits int }

// word takes the next word: a number, a name, a time, a zone.
func (d *dateParser) word() {
	c := d.peek()
	switch {
	case '0' <= c && c <= '9':
		n := d.number()
		if d.colon() || !d.timed && d.peek() == '.' && len(d.numbers) > 1 {
			d.time(n.value)
			return
		}
		if len(d.numbers) < 4 {
			d.numbers = append(d.numbers, n)
		}
	case (c == '+' || c == '-') && d.timed:
		d.i++
		d.zone(c == '-')
	case isLetter(c):
		start := d.i
		for isLetter(d.peek()) {
			d.i++
		}
		d.name(d.s[start:d.i])
	default:
		d.i++ // commas, hyphens and the like separate
	}
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func (d *dateParser) number() number {
	var n number
	for ; '0' <= d.peek() && d.peek() <= '9'; d.i++ {
		if n.digits++; n.digits <= 8 {
			n.value = n.value*10 + int(d.peek()-'0')
		}
	}
	return n
}

// colon reports whether a colon is next, and passes over the space and the
// comments before it, which RFC 5322, section 4.3, allows.
func (d *dateParser) colon() bool {
	ahead := d.lexer
	ahead.space()
	if ahead.peek() != ':' {
		return false
	}
	d.lexer = ahead
	return true
}

// time takes the rest of a time of day.
func (d *dateParser) time(hour int) {
	clock := [3]int{hour}
	for k := 1; k < 3 && (d.colon() || d.peek() == '.'); k++ {
		d.i++
		d.space()
		clock[k] = d.number().value
	}
	if d.take('.') { // a fraction
		d.number()
	}
	if d.timed {
		return
	}
	d.timed, d.clock = true, clock
}

// zone takes "hhmm", "hh:mm" or "hh" after its sign.
func (d *dateParser) zone(west bool) {
	n := d.number()
	h, m := n.value/100, n.value%100
	if n.digits <= 2 {
		h, m = n.value, 0
		if d.take(':') {
			m = d.number().value
		}
	}
	if n.digits == 0 || h > 23 || m > 59 {
		return
	}
	if d.offset = h*3600 + m*60; west {
		d.offset = -d.offset
	}
}

const months = "janfebmaraprmayjunjulaugsepoctnovdec"

// name takes a word: a month, a zone, or a weekday, which says nothing.
func (d *dateParser) name(s string) {
	s = lower(s)
	if len(s) >= 3 {
		if k := strings.Index(months, s[:3]); k >= 0 && k%3 == 0 && d.month == 0 {
			d.month = k/3 + 1
			return
		}
	}
	if !d.timed {
		return
	}
	switch s {
	case "am", "pm":
		if h := d.clock[0] % 12; d.clock[0] <= 12 {
			if d.clock[0] = h; s == "pm" {
				d.clock[0] += 12
			}
		}
		return
	}
	if d.offset != noOffset {
		return
	}
	// RFC 5322, section 4.3. Military and unknown zones are -0000.
	hours := map[string]int{
		"edt": -4, "est": -5, "cdt": -5, "cst": -6, "mdt": -6, "mst": -7, "pdt": -7, "pst": -8,
		"cet": 1, "met": 1, "cest": 2, "mest": 2, "bst": 1, "eet": 2, "eest": 3, "jst": 9,
	}
	d.offset = hours[s] * 3600
	if (s == "gmt" || s == "utc" || s == "ut") && (d.peek() == '+' || d.peek() == '-') {
		d.offset = noOffset // the number tells
	}
}

// settle makes day, month and year out of the numbers, and reports whether
// they are possible.
func (d *dateParser) settle() bool {
	n := d.numbers
	if len(n) > 0 && n[0].digits == 8 { // 20060102
		n = []number{{n[0].value / 10000, 4}, {n[0].value / 100 % 100, 2}, {n[0].value % 100, 2}}
	}
	switch {
	case d.month == 0 && len(n) >= 3 && n[0].digits == 4: // 2006-01-02
		d.year, d.month, d.day = n[0].value, n[1].value, n[2].value
	case d.month == 0 || len(n) < 2:
		return false
	case n[0].digits >= 3: // 2006 Jan 2
		d.year, d.day = n[0].value, n[1].value
	default:
		d.day, d.year = n[0].value, n[1].value
		// RFC 5322, section 4.3: years of two and three digits.
		switch digits := n[1].digits; {
		case digits <= 2 && d.year < 50:
			d.year += 2000
		case digits <= 3:
			d.year += 1900
		}
	}
	if d.month < 1 || d.month > 12 || d.day < 1 || d.day > 31 || d.year < 1 || d.year > 9999 {
		return false
	}
	if d.clock[0] > 23 || d.clock[1] > 59 || d.clock[2] > 60 {
		d.clock = [3]int{}
	}
	// A day that the month does not have would run over into the next.
	return time.Date(d.year, time.Month(d.month), d.day, 0, 0, 0, 0, time.UTC).Day() == d.day
}

// Date returns the time in the first Date field, as [ParseDate] does.
func (h Header) Date() (time.Time, bool) {
	v, ok := h.Get("date")
	if !ok {
		return time.Time{}, false
	}
	return ParseDate(v)
}

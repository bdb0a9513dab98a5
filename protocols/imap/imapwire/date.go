package imapwire

import "time"

const months = "JanFebMarAprMayJunJulAugSepOctNovDec"

// ReadDate reads the date of a search key, quoted or not: "1-Feb-1994" (RFC
// 3501, section 9, date). It is returned as midnight UTC; zone and time of day
// are disregarded in searches (section 6.4.4). A date that is not in the
// calendar is a *SyntaxError.
func (r *Reader) ReadDate() (time.Time, error) {
	quoted, err := r.nextIs('"')
	if err != nil {
		return time.Time{}, err
	}
	var b []byte
	if quoted {
		b, err = r.readQuoted()
	} else {
		b, err = r.token(classAtom, "expected a date")
	}
	if err != nil {
		return time.Time{}, err
	}
	year, month, day, rest, ok := parseDate(b, false)
	if !ok || len(rest) > 0 {
		return time.Time{}, r.syntaxError("expected a date")
	}
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC), nil
}

// ReadDateTime reads a date-time, `"17-Jul-1996 02:44:25 -0700"` (RFC 3501,
// section 9). The day may also be a single digit without the space before it,
// which clients send; the second may be 60.
func (r *Reader) ReadDateTime() (time.Time, error) {
	const msg = "expected a date-time"
	quoted, err := r.nextIs('"')
	if err != nil {
		return time.Time{}, err
	}
	if !quoted {
		return time.Time{}, r.syntaxError(msg)
	}
	b, err := r.readQuoted()
	if err != nil {
		return time.Time{}, err
	}
	t, ok := parseDateTime(b)
	if !ok {
		return time.Time{}, r.syntaxError(msg)
	}
	return t, nil
}

func parseDateTime(b []byte) (time.Time, bool) {
	year, month, day, b, ok := parseDate(b, true)
	if !ok || len(b) != len(" 02:44:25 -0700") ||
		b[0] != ' ' || b[3] != ':' || b[6] != ':' || b[9] != ' ' || b[10] != '+' && b[10] != '-' {
		return time.Time{}, false
	}
	hour, ok1 := digits(b[1:3], 23)
	minute, ok2 := digits(b[4:6], 59)
	second, ok3 := digits(b[7:9], 60)
	zoneHour, ok4 := digits(b[11:13], 23)
	zoneMinute, ok5 := digits(b[13:15], 59)
	if !ok1 || !ok2 || !ok3 || !ok4 || !ok5 {
		return time.Time{}, false
	}
	zone := time.UTC
	if offset := zoneHour*3600 + zoneMinute*60; offset != 0 {
		if b[10] == '-' {
			offset = -offset
		}
		zone = time.FixedZone("", offset)
	}
	return time.Date(year, month, day, hour, minute, second, 0, zone), true
}

// parseDate parses date-text at the beginning of b and returns what follows.
// padded says that the day may begin with a space.
func parseDate(b []byte, padded bool) (year int, month time.Month, day int, rest []byte, ok bool) {
	if padded && len(b) > 2 && b[0] == ' ' && b[2] == '-' {
		b = b[1:]
	}
	n := 1
	if len(b) > 1 && b[1] != '-' {
		n = 2
	}
	if len(b) < n+len("-Jul-1996") || b[n] != '-' || b[n+4] != '-' {
		return 0, 0, 0, nil, false
	}
	day, ok1 := digits(b[:n], 31)
	month = parseMonth(b[n+1 : n+4])
	year, ok2 := digits(b[n+5:n+9], 9999)
	if !ok1 || !ok2 || day == 0 || month == 0 || day > daysIn(month, year) {
		return 0, 0, 0, nil, false
	}
	return year, month, day, b[n+9:], true
}

func parseMonth(b []byte) time.Month {
	for m := range time.Month(12) {
		name := months[3*m : 3*m+3]
		if b[0]|0x20 == name[0]|0x20 && b[1]|0x20 == name[1] && b[2]|0x20 == name[2] {
			return m + 1
		}
	}
	return 0
}

func daysIn(m time.Month, year int) int {
	return time.Date(year, m+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// digits parses b, all digits, as a number that is at most most.
func digits(b []byte, most int) (int, bool) {
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, n <= most
}

// AppendDateTime appends a date-time with its quotes, in the zone of t. Years
// that have not four digits come as 0000 or 9999.
func AppendDateTime(dst []byte, t time.Time) []byte {
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	_, offset := t.Zone()
	sign := byte('+')
	if offset < 0 {
		sign, offset = '-', -offset
	}
	offset /= 60
	dst = append(dst, '"')
	if day < 10 {
		dst = append(dst, ' ', byte('0'+day))
	} else {
		dst = append2(dst, day)
	}
	dst = append(dst, '-')
	dst = append(dst, months[3*(month-1):3*month]...)
	dst = append(dst, '-')
	year = min(max(year, 0), 9999)
	dst = append2(append2(dst, year/100), year%100)
	dst = append2(append(dst, ' '), hour)
	dst = append2(append(dst, ':'), minute)
	dst = append2(append(dst, ':'), second)
	dst = append2(append(dst, ' ', sign), offset/60)
	dst = append2(dst, offset%60)
	return append(dst, '"')
}

// append2 appends n, which is below 100, in two digits.
func append2(dst []byte, n int) []byte {
	return append(dst, byte('0'+n/10), byte('0'+n%10))
}

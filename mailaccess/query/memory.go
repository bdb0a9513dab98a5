package query

// Memory is told how many octets a sort or a thread takes in all before it takes more of
// them, and says by an error that it may not; nil is never asked. It is asked again only
// when there is a good deal more.
type Memory func(octets int64) error

// counted is memory that is asked for in steps.
type counted struct {
	may     Memory
	granted int64
	held    int64 // what grown has given
}

// grown is s with room for n elements more, of so many octets each.
func grown[T any](c *counted, s []T, octets int64, n int) ([]T, error) {
	if n <= cap(s)-len(s) {
		return s, nil
	}
	room := max(len(s)+n, len(s)+len(s)/4+8)
	// The old ones are there as long as they are copied.
	if err := c.take(c.held + int64(room)*octets); err != nil {
		return s, err
	}
	c.held += int64(room-cap(s)) * octets
	return append(make([]T, 0, room), s...), nil
}

// memoryStep is how many octets are asked for at least beyond those that are needed, once
// more than that is.
const memoryStep = 64 << 10

// take says whether there may be so many octets in all.
func (c *counted) take(octets int64) error {
	if c.may == nil || octets <= c.granted {
		return nil
	}
	if octets > memoryStep {
		octets += memoryStep
	}
	if err := c.may(octets); err != nil {
		return err
	}
	c.granted = octets
	return nil
}

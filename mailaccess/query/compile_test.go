package query

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/hashmail/mailaccess/mailaccess"
)

func TestCompileRefuses(t *testing.T) {
	nested := func(n int) mailaccess.Expr {
		var e mailaccess.Expr = mailaccess.Larger{}
		for range n {
			e = mailaccess.Not{X: e}
		}
		return e
	}
	body := func(n int) mailaccess.Expr {
		var e mailaccess.Or
		for i := range n {
			e = append(e, mailaccess.Body{Text: fmt.Sprintf("needle %d", i)})
		}
		return e
	}
	same := make(mailaccess.Or, 9)
	for i := range same {
		same[i] = mailaccess.Body{Text: strings.Repeat("a", i%2+1)}
	}
	opts := &Options{Depth: 5, Nodes: 10, Needles: 3, Text: 40}
	tests := []struct {
		name string
		e    mailaccess.Expr
		opts *Options
		want error
	}{
		{"nil", nil, nil, mailaccess.KindInvalid},
		{"nil below", mailaccess.And{mailaccess.Or{nil}}, nil, mailaccess.KindInvalid},
		{"nil below what is decided", mailaccess.Or{mailaccess.And{}, mailaccess.Not{}}, nil, mailaccess.KindInvalid},
		{"pointer", &mailaccess.Larger{}, nil, mailaccess.KindInvalid},
		{"unknown date", mailaccess.Between{Date: 9}, nil, mailaccess.KindInvalid},
		{"unknown date of a day", mailaccess.Not{X: mailaccess.OnDay{Date: 9}}, nil, mailaccess.KindInvalid},
		{"unknown comparison", mailaccess.OnDay{Op: 9}, nil, mailaccess.KindInvalid},
		{"as deep as may be", nested(5), opts, nil},
		{"too deep", nested(6), opts, mailaccess.KindLimit},
		{"too deep in And", mailaccess.And{nested(5)}, opts, mailaccess.KindLimit},
		{"too deep by default", nested(1001), nil, mailaccess.KindLimit},
		{"as many as may be", make9(), opts, nil},
		{"too many", append(make9(), mailaccess.Larger{}), opts, mailaccess.KindLimit},
		{"as many needles as may be", body(3), opts, nil},
		{"too many needles", body(4), opts, mailaccess.KindLimit},
		{"equal needles count once", same, opts, nil},
		{"as long as may be", mailaccess.Header{Name: strings.Repeat("n", 20), Text: strings.Repeat("t", 20)}, opts, nil},
		{"too long", mailaccess.Header{Name: strings.Repeat("n", 20), Text: strings.Repeat("t", 21)}, opts, mailaccess.KindLimit},
		{"too long when prepared", mailaccess.Body{Text: strings.Repeat("\uFDFA", 2)}, opts, mailaccess.KindLimit},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, err := Compile(tt.e, tt.opts)
			if !errors.Is(err, tt.want) || (m == nil) != (err != nil) {
				t.Errorf("got %v, %v, want %v", m, err, tt.want)
			}
		})
	}
}

func make9() mailaccess.And {
	var e mailaccess.And
	for range 9 {
		e = append(e, mailaccess.Larger{})
	}
	return e
}

// shape writes the normalised expression down.
func (n *node) shape() string {
	names := map[op]string{opTrue: "true", opFalse: "false", opAnd: "and", opOr: "or", opLarger: "larger",
		opUID: "uid", opDay: "day", opNeedle: "needle"}
	s := names[n.op]
	if n.not {
		s = "!" + s
	}
	if len(n.kids) > 0 {
		var kids []string
		for i := range n.kids {
			kids = append(kids, n.kids[i].shape())
		}
		s += "(" + strings.Join(kids, " ") + ")"
	}
	return s
}

func TestNormalForm(t *testing.T) {
	larger, body := mailaccess.Larger{}, mailaccess.Body{Text: "x"}
	not := func(e mailaccess.Expr) mailaccess.Expr { return mailaccess.Not{X: e} }
	sent := mailaccess.OnDay{Date: mailaccess.DateSent}
	tests := []struct {
		e     mailaccess.Expr
		shape string
		needs bool
	}{
		{mailaccess.And{}, "true", false},
		{mailaccess.Or{}, "false", false},
		{not(mailaccess.Or{}), "true", false},
		{mailaccess.And{larger}, "larger", false},
		{mailaccess.And{body, mailaccess.And{sent, larger}}, "and(larger day needle)", true},
		{mailaccess.Or{body, mailaccess.Or{mailaccess.UIDIn{}, larger}}, "or(larger uid needle)", true},
		{not(mailaccess.And{body, not(larger)}), "or(larger !needle)", true},
		{not(mailaccess.Or{larger, not(mailaccess.And{sent, body})}), "and(!larger day needle)", true},
		{mailaccess.Or{body, mailaccess.And{}}, "true", false},
		{mailaccess.And{body, mailaccess.Or{}}, "false", false},
		{mailaccess.And{body, mailaccess.And{}}, "needle", true},
		{mailaccess.And{mailaccess.Or{body, larger}, sent}, "and(day or(larger needle))", true},
		{mailaccess.Header{Name: "x"}, "needle", true},
		{mailaccess.And{mailaccess.Body{}, larger}, "larger", false},
	}
	for _, tt := range tests {
		m := mustCompile(t, tt.e, nil)
		if got := m.root.shape(); got != tt.shape || m.NeedsContent() != tt.needs {
			t.Errorf("%#v: %s, needs content: %v; want %s, %v", tt.e, got, m.NeedsContent(), tt.shape, tt.needs)
		}
	}
}

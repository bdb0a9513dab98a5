package pop3

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/hashmail/mailaccess/mailaccess"
)

func TestEveryKindHasAnAnswer(t *testing.T) {
	codes := map[string]bool{"": true, codeInUse: true, codeTemp: true, codePerm: true, codeAuth: true}
	for _, kind := range mailaccess.Kinds() {
		answer, ok := kindAnswers[kind]
		if !ok {
			t.Errorf("%v has no answer", kind)
			continue
		}
		if !codes[answer.code] {
			t.Errorf("%v: no such response code %q", kind, answer.code)
		}
		// RFC 2449, section 3: a text does not begin with a bracket.
		if answer.text == "" || answer.text[0] == '[' || strings.ContainsFunc(answer.text, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("%v: %q is no text for a client", kind, answer.text)
		}
		// RFC 3206, section 6: only credentials are answered with AUTH.
		if want := kind == mailaccess.KindAuthFailed || kind == mailaccess.KindAuthExpired; (answer.code == codeAuth) != want {
			t.Errorf("%v: code %q", kind, answer.code)
		}
	}
	if len(kindAnswers) != len(mailaccess.Kinds()) {
		t.Errorf("%d answers for %d kinds", len(kindAnswers), len(mailaccess.Kinds()))
	}
}

func TestAnswerTo(t *testing.T) {
	gone := &mailaccess.Error{Kind: mailaccess.KindContentGone, Op: "read"}
	tests := []struct {
		name string
		err  error
		want string // empty: it ends the connection
	}{
		{"refusal", refuse(codeTemp, "later"), "SYS/TEMP later"},
		{"wrapped refusal", errors.Join(refuseSyntax("what"), io.EOF), " what"},
		{"store", gone, "SYS/TEMP message no longer available"},
		{"wrapped store", fmt.Errorf("retr: %w", gone), "SYS/TEMP message no longer available"},
		{"kind", mailaccess.KindAuthFailed, "AUTH authentication failed"},
		{"connection", io.ErrClosedPipe, ""},
		{"broken off", &hangUp{"message broken off", gone}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			if answer := new(conn).answerTo(tt.err); answer != nil {
				got = answer.code + " " + answer.text
			}
			if got != tt.want {
				t.Errorf("answer %q, want %q", got, tt.want)
			}
		})
	}
}

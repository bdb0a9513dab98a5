package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/hashmail/mailaccess/stores/maildir"
)

// While a server has a store open it is the one that checks it: POST /check on the admin
// socket takes a checkRequest and answers with lines of JSON, each a checkLine, of which the
// last one is the end.

type checkRequest struct {
	Accounts []string `json:"accounts"`
	Repair   bool     `json:"repair"`
}

type checkLine struct {
	Finding *maildir.Finding `json:"finding,omitempty"`
	Error   string           `json:"error,omitempty"`
	Done    bool             `json:"done,omitempty"`
}

func (a *admin) check(w http.ResponseWriter, r *http.Request) {
	var request checkRequest
	if !readRequest(w, r, &request) {
		return
	}
	// When the client is gone so is the reason to go on.
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	lines := json.NewEncoder(w)
	flush := http.NewResponseController(w)
	tell := func(l checkLine) {
		if ctx.Err() == nil && errors.Join(lines.Encode(l), flush.Flush()) != nil {
			cancel()
		}
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	err := a.store.Check(ctx, request.Accounts, request.Repair, func(f maildir.Finding) { tell(checkLine{Finding: &f}) })
	if err != nil {
		tell(checkLine{Error: err.Error()})
		return
	}
	tell(checkLine{Done: true})
}

// askCheck has the server check the store that it has open.
func askCheck(ctx context.Context, socket string, request checkRequest, report func(maildir.Finding)) error {
	answer, err := askAdmin(ctx, socket, http.MethodPost, "/check", request)
	if err != nil {
		return fmt.Errorf("a server has the store open: %w", err)
	}
	defer answer.Body.Close()
	for lines := json.NewDecoder(answer.Body); ; {
		var l checkLine
		if err := lines.Decode(&l); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return fmt.Errorf("the server did not finish: %w", err)
		}
		switch {
		case l.Error != "":
			return errors.New(l.Error)
		case l.Done:
			return nil
		case l.Finding != nil:
			report(*l.Finding)
		}
	}
}

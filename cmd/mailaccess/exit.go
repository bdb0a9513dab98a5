package main

import "errors"

// exitError is an error with an exit code of its own.
type exitError struct {
	code int
	err  error // nil: all has been said
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// exitCode returns the code with which the program ends after err, which is not nil, and
// whether there is something to say.
func exitCode(err error) (code int, say bool) {
	var e *exitError
	if errors.As(err, &e) {
		return e.code, e.err != nil
	}
	return 1, true
}

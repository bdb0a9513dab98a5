package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/hashmail/mailaccess/stores"
	"github.com/hashmail/mailaccess/stores/maildir"
)

// scramSecretFile is, in the own directory of a Maildir store, the secret from which the
// salts for unknown names come ([auth.UsersFileOptions]): they have to stay, as those of
// users do, when the server starts anew and when the users file changes.
const scramSecretFile = "scram-secret"

const scramSecretSize = 32

// scramSecret returns the secret of a store, which is open; nil for one that has no
// directory.
func scramSecret(storeURL string) ([]byte, error) {
	path, err := stores.MaildirPath(storeURL)
	if err != nil {
		return nil, nil
	}
	dir, err := maildir.OwnDir(path)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, scramSecretFile)
	secret, err := os.ReadFile(file)
	switch {
	case err == nil && len(secret) == scramSecretSize:
		return secret, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	secret = make([]byte, scramSecretSize)
	rand.Read(secret) // never fails
	// Whole or not at all; nobody else has the store open.
	temporary := file + ".new"
	if err := os.WriteFile(temporary, secret, 0o600); err != nil {
		return nil, fmt.Errorf("secret for SCRAM: %w", err)
	}
	return secret, os.Rename(temporary, file)
}

package main

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/hooks"
)

// schema is what the application has anyway, but for the version of a folder: with it a
// folder in which nothing happened is not listed again.
//
//go:embed schema.sql
var schema string

// letters is an application that keeps letters in a table.
type letters struct {
	db *sql.DB
	// nobody is a hash to compare with where there is no such person: a name that does not
	// exist takes as long to refuse as a wrong password.
	nobody []byte
}

// handlers are the letters as mail.
func (l letters) handlers() hooks.Handlers {
	return hooks.Handlers{
		Authenticate:   l.authenticate,
		MailBoxes:      l.folders,
		MailItems:      l.list,
		AddMailItem:    l.add,
		UpdateMailItem: l.mark,
		RemoveMailItem: l.remove,
	}
}

func (l letters) authenticate(ctx context.Context, username, password string) (string, error) {
	hash := l.nobody
	err := l.db.QueryRowContext(ctx, `SELECT password FROM person WHERE email = ?`, username).Scan(&hash)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", err
	}
	if bcrypt.CompareHashAndPassword(hash, []byte(password)) != nil || err != nil {
		return "", mailaccess.KindAuthFailed
	}
	return username, nil
}

func (l letters) folders(ctx context.Context, email string, _ hooks.BoxQuery) ([]hooks.Box, error) {
	rows, err := l.db.QueryContext(ctx, `SELECT name, version FROM folder WHERE owner = ?`, email)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // Err tells
	var boxes []hooks.Box
	for rows.Next() {
		var b hooks.Box
		if err := rows.Scan(&b.Name, &b.Version); err != nil {
			return nil, err
		}
		boxes = append(boxes, b)
	}
	return boxes, rows.Err()
}

// list yields what the query asks for, and bodies only where it does.
func (l letters) list(ctx context.Context, email string, q hooks.ItemQuery) iter.Seq2[hooks.Item, error] {
	return func(yield func(hooks.Item, error) bool) {
		body := `x''`
		if q.Fields.Has(hooks.FieldBody) {
			body = `body`
		}
		query := `SELECT id, flags, arrived, ` + body + ` FROM letter WHERE owner = ? AND folder = ?`
		args := []any{email, q.Mailbox}
		if len(q.Keys) > 0 && len(q.Keys) <= 500 { // more than is asked for does no harm
			query += ` AND id IN (?` + strings.Repeat(`, ?`, len(q.Keys)-1) + `)`
			for _, key := range q.Keys {
				args = append(args, key)
			}
		}
		rows, err := l.db.QueryContext(ctx, query+` ORDER BY id`, args...)
		if err != nil {
			yield(hooks.Item{}, err)
			return
		}
		defer rows.Close() //nolint:errcheck // Err tells
		for rows.Next() {
			item, err := scan(rows, q.Fields.Has(hooks.FieldBody))
			if !yield(item, err) || err != nil {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(hooks.Item{}, err)
		}
	}
}

func scan(rows *sql.Rows, withBody bool) (item hooks.Item, err error) {
	var flags string
	var arrived int64
	var body []byte
	if err := rows.Scan(&item.Key, &flags, &arrived, &body); err != nil {
		return hooks.Item{}, err
	}
	item.Flags, item.Received = strings.Fields(flags), time.Unix(arrived, 0)
	if withBody {
		item.Body = body
	}
	return item, nil
}

func (l letters) add(ctx context.Context, email string, n hooks.NewItem) (string, error) {
	body, err := io.ReadAll(n.Body)
	if err != nil {
		return "", err
	}
	r, err := l.db.ExecContext(ctx, `INSERT INTO letter (owner, folder, flags, arrived, body) VALUES (?, ?, ?, ?, ?)`,
		email, n.Mailbox, strings.Join(n.Flags, " "), n.Received.Unix(), body)
	if err != nil {
		return "", err
	}
	id, err := r.LastInsertId()
	return strconv.FormatInt(id, 10), err
}

// mark changes flags in a transaction: two clients may do so at once.
func (l letters) mark(ctx context.Context, email string, c hooks.Change) (err error) {
	tx, err := l.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // without effect after the commit
	var kept string
	err = tx.QueryRowContext(ctx, `SELECT flags FROM letter WHERE id = ? AND owner = ?`, c.Key, email).Scan(&kept)
	if errors.Is(err, sql.ErrNoRows) {
		return mailaccess.KindNotFound
	} else if err != nil {
		return err
	}
	flags := slices.DeleteFunc(strings.Fields(kept), func(f string) bool { return slices.Contains(c.Remove, f) })
	_, err = tx.ExecContext(ctx, `UPDATE letter SET flags = ? WHERE id = ? AND owner = ?`, strings.Join(append(flags, c.Add...), " "), c.Key, email)
	if err != nil {
		return err
	}
	return tx.Commit()
}

func (l letters) remove(ctx context.Context, email string, r hooks.Ref) error {
	_, err := l.db.ExecContext(ctx, `DELETE FROM letter WHERE id = ? AND owner = ?`, r.Key, email)
	return err
}

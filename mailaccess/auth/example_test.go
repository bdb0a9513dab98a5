package auth_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/auth"
)

// A front-end's AUTHENTICATE PLAIN, over a cached users file.
func Example() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "users")
	if err := auth.SetUser(path, "Alice", "open sesame", nil); err != nil {
		fmt.Println(err)
		return
	}
	users, err := auth.OpenUsersFile(path, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	cached := auth.Cache(users, nil)

	// What the front-end knows of the connection.
	login := mailaccess.Login{Protocol: "imap", Remote: "192.0.2.1:49152", Private: true}
	fmt.Println("offered:", auth.Mechanisms(cached, login, nil))

	server, err := auth.NewServer(context.Background(), "PLAIN", cached, login, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	// What the client sent, decoded from base64.
	_, done, err := server.Next([]byte("\x00alice\x00open sesame"))
	id, _ := server.Identity()
	fmt.Println(done, err, id.User)
	// Output:
	// offered: [PLAIN LOGIN]
	// true <nil> alice
}

func ExampleStatic() {
	a := auth.Static(map[string]string{"demo": "demo"})
	_, err := a.Authenticate(context.Background(), mailaccess.Login{Username: "demo", Password: "guess"})
	fmt.Println(err)
	// Output: authenticate: authentication failed: wrong user name or password
}

func ExampleNormalizeUser() {
	name, err := auth.NormalizeUser("Alice@Example.ORG")
	fmt.Println(name, err)
	_, err = auth.NormalizeUser("../alice")
	fmt.Println(err)
	// Output:
	// alice@example.org <nil>
	// the name has the character '/'
}

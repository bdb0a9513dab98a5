package main

import "github.com/spf13/cobra"

func newNewStoreCommand() *cobra.Command {
	s := skeleton{kind: "store"}
	cmd := &cobra.Command{
		Use:   "new-store DIR",
		Short: "Write the skeleton of a store in Go",
		Long: `Write a Go package that compiles, with the methods that a store must have and its tests:
the suite that proves a store, and one that names each method that is not written yet.

DIR is made, or empty; its name is that of the package. When it lies in a module, the
package becomes part of that; otherwise it is a module of its own.`,
		Example: `  mailaccess new-store ./mystore
  mailaccess new-store ./mystore --module example.org/mystore --replace ./mailaccess`,
		Args: exactly("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error { return s.run(cmd, args[0]) },
	}
	s.register(cmd.Flags())
	return cmd
}

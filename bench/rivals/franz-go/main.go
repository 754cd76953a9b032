// A consumer as a careful team would write it by hand: a batch of up to 1,000 records is spread over the four tables by one
// statement, which expands the JSON in the server; offsets of what is written are committed in the background. One batch at a time,
// so the order is kept. No validation, no dead letters, and no guard against an older version after a rebalance.
package main

import (
	"context"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	batchRecords = 1000
	arrived      = "WITH arrived AS (SELECT n, payload FROM unnest($1::text[]) WITH ORDINALITY AS record (payload, n)), "
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, os.Args[1]); err != nil && ctx.Err() == nil {
		log.Fatal(err)
	}
}

// run consumes until the context ends. The file holds the steps of the statement.
func run(ctx context.Context, file string) error {
	steps, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	statement := arrived + "\n" + string(steps)
	database, err := pgx.Connect(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		return err
	}
	defer database.Close(context.Background())
	client, err := kgo.NewClient(
		kgo.SeedBrokers(strings.Split(os.Getenv("KAFKA_BROKERS"), ",")...),
		kgo.ConsumerGroup(os.Getenv("KAFKA_GROUP_ID")),
		kgo.ConsumeTopics(os.Getenv("KAFKA_TOPIC")),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		// What is marked has been written.
		kgo.AutoCommitMarks(),
		kgo.AutoCommitInterval(100*time.Millisecond),
		kgo.BlockRebalanceOnPoll(),
	)
	if err != nil {
		return err
	}
	defer client.CloseAllowingRebalance()
	for {
		fetches := client.PollRecords(ctx, batchRecords)
		if err := fetches.Err(); err != nil {
			return err
		}
		records := fetches.Records()
		payloads := make([]string, len(records))
		for i, record := range records {
			payloads[i] = string(record.Value)
		}
		if _, err := database.Exec(ctx, statement, payloads); err != nil {
			return err
		}
		client.MarkCommitRecords(records...)
		client.AllowRebalance()
	}
}

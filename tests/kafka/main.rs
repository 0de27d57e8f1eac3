//! The client for Kafka, and topics, logins and rights served, against a real Apache Kafka. One module per
//! promise.
//!
//! What a cluster or its user can do wrong, and the test that holds it: a function here or beside the code,
//! or a counter-example in `examples/invalid/`. `tests/cases.rs` checks that each of them exists.
//!
//! | case | held by |
//! |---|---|
//! | name: empty, `.`, `..`, 250 bytes, space, slash, non-ASCII | `of_one_call_the_bad_topics_are_refused_each_for_its_reason_and_the_good_ones_are_made` `topic-name` `schema-topic-name-length` |
//! | name: legal in Kafka, not in an object name | `topics_are_judged_as_a_broker_does` `every_topic_and_every_cluster_gives_a_legal_key_and_name` |
//! | name: `a.b` beside `a_b` | `a_name_that_the_broker_takes_for_another_is_refused` `topic-variable-twice` |
//! | name: `__internal` | `topic-internal` |
//! | name: the same topic twice | `a_topic_named_twice_is_made_once_and_a_contradiction_is_refused` `topic-variable-twice` `topic-reference-twice` |
//! | name: a service named admin | `a_service_that_is_called_admin_is_not_the_brokers_admin` `two_services_never_share_a_user` |
//! | number: partitions 0, negative, over the cap | `schema-topic-partitions-zero` `numbers_that_mean_something_else_to_the_protocol_are_refused` `a_class_bounds_topics` |
//! | number: replication over the brokers, and healing | `one_bad_topic_says_what_to_do_and_its_neighbours_are_made` `more_replicas_than_brokers_are_told_and_made_when_a_broker_joins` |
//! | number: min ISR over replication | `topic-min-insync` |
//! | number: retention overflow, bytes per partition | `topic-retention` `topic-retention-bytes` `infinite_and_the_largest_retention_are_in_range` |
//! | config: unknown key, bad value | `of_one_call_the_bad_topics_are_refused_each_for_its_reason_and_the_good_ones_are_made` `altering_sets_and_resets_single_keys_and_leaves_foreign_ones` |
//! | config: `delete,compact` beside `compact,delete` | `what_means_the_same_is_the_same` |
//! | config: typed field and raw key disagree | `topic-config-typed` |
//! | config: against a policy of the cluster | `what_a_policy_of_the_cluster_forbids_is_told_in_its_words_and_its_neighbours_are_made` |
//! | time: partial batch failure | `of_one_call_the_bad_topics_are_refused_each_for_its_reason_and_the_good_ones_are_made` `one_bad_topic_says_what_to_do_and_its_neighbours_are_made` |
//! | time: the controller moves in mid batch | `a_controller_that_moves_in_the_middle_of_a_batch_loses_and_doubles_nothing` |
//! | time: answer lost after create | `a_creation_whose_answer_is_lost_is_found_and_not_sent_again` |
//! | time: throttled | `a_quota_that_is_used_up_throttles` `a_quota_that_is_used_up_delays_topics_and_costs_no_request` |
//! | time: half-open socket, slow broker | `a_cluster_that_says_nothing_is_caught_up_with_when_it_speaks_again` `a_slow_cluster_is_waited_for` |
//! | time: the broker is away for a minute while specs change | `a_minute_without_a_broker_under_load_loses_and_doubles_no_change` |
//! | time: DNS failure | `addresses_that_lead_nowhere_are_an_error_in_bounded_time` |
//! | time: expired TLS, wrong CA, plaintext to a TLS port | `each_kind_of_wrong_encryption_is_told_by_its_name_and_heals` `a_port_of_the_other_kind_is_an_error_in_bounded_time` |
//! | rights: create denied, describe denied | `an_operator_without_rights_says_so_and_takes_nothing_for_absent` `the_rights_that_the_documentation_lists_are_enough` |
//! | rights: ACLs without an authorizer | `a_cluster_without_an_authorizer_gives_logins_and_says_that_it_keeps_no_rights` |
//! | rights: SASL error 58 and no retry storm | `a_wrong_password_is_refused_once_and_never_shown_until_the_settings_change` `a_refused_login_is_told_and_another_password_helps_without_a_restart` |
//! | lifecycle: owner deleted and recreated, status lost | `a_topic_outlives_its_owner_and_the_next_of_the_name_goes_on_with_it` `who_has_lost_its_status_is_still_the_owner` `a_lost_status_and_a_new_object_of_the_name_keep_login_and_topic` |
//! | lifecycle: operator down during deletion | `what_goes_while_nobody_looks_is_let_go_afterwards` `what_goes_while_the_operator_and_the_broker_are_away_is_removed_afterwards` |
//! | lifecycle: credentials Secret deleted first | `whichever_secret_goes_first_a_namespace_goes_and_its_users_follow` |
//! | scale: 200 topics in one object | `many_topics_of_one_object_and_of_many_objects_are_made` `two_hundred_and_fifty_topics_are_three_requests_each_way` |
//! | Strimzi: killed between two steps | `between_the_record_and_the_object_and_the_topic_is_made_once` `before_strimzi_is_told_to_let_go_and_the_topic_stays` `between_letting_go_and_deleting_the_object_and_the_topic_stays` |
//! | Strimzi: another password behind our back | `a_password_that_strimzi_makes_anew_reaches_the_pods` |
//! | Strimzi: several clusters and classes, many topics | `two_clusters_and_two_classes_are_served_beside_each_other` `two_hundred_topics_of_twenty_objects_are_a_write_each_and_then_none` |
//! | scale: 0 writes after | `at_rest_nothing_is_written` `at_rest_and_after_a_restart_nothing_is_written` |
//! | rule 1, only described keys | `a_changed_key_of_ours_is_set_back_and_others_stay` `a_key_that_is_no_longer_described_is_reset_and_a_new_value_is_no_drift` |
//! | rule 2, nobody else's topic | `a_line_for_a_topic_of_another_team_gives_no_right_on_it` `another_team_reads_only_while_the_owner_names_it` |
//! | rule 3, deletion | `a_confirmed_deletion_takes_the_deployment_first_and_then_the_topic` `sweeps_leave_a_topic_to_the_deployment_that_its_owner_has_left_behind` `a_topic_that_its_owner_only_observes_from_now_on_stays` `without_a_confirmation_the_topic_stays_and_the_event_says_why` `a_topic_that_somebody_reads_stays` `where_deletion_is_switched_off_a_topic_stays_and_its_owner_goes` `a_topic_that_is_replaced_at_the_last_moment_stays` |
//! | rule 4, broker away during deletion | `a_namespace_goes_while_the_broker_is_away_and_its_topic_is_deleted_later` |
//! | rule 5, partitions only grow | `partitions_grow_and_never_shrink_while_the_rest_applies` `a_compacted_topic_grows_only_when_confirmed` `replication_is_never_changed_in_place` |
//! | rule 6, deleted or changed out of band | `a_topic_that_somebody_deletes_is_made_again_and_told_to_be_empty` |
//! | rule 7, least privilege | `each_line_gives_its_right_and_no_other` `a_streams_application_has_its_own_internal_topics_and_no_others` `an_external_topic_is_used_as_the_class_says_and_in_no_other_way` `what_is_not_ours_or_denies_is_never_touched` |
//! | rule 8, rotation | `no_message_is_lost_or_refused_while_all_connections_are_cut_at_each_step` `a_stuck_or_undone_rollout_keeps_the_old_user_and_the_next_rotation_waits` `a_password_that_is_old_is_changed_without_being_asked_for_and_then_rests` `every_pod_can_log_in_at_every_moment_and_no_other_user_is_touched` |
//! | rule 8, one of three brokers away | `with_one_broker_of_three_away_a_login_is_made_and_the_broker_learns_of_it` |
//! | rule 9, batches | `a_batch_is_bounded_and_the_rest_is_next` |
//! | rule 10, a consumed topic that is absent | `a_topic_that_nobody_owns_is_waited_for` `an_observed_topic_is_waited_for_and_never_made` |
//! | rule 11, each outage its own reason | `every_refusal_has_its_reason_and_what_to_do` `without_a_broker_the_workload_runs_and_the_topics_follow` |
//! | rule 12, lag scaling | `keda_gets_one_object_with_everything_and_keeps_it` `the_autoscaler_changes_over_when_keda_comes_and_goes` `keda_scales_a_service_up_by_the_lag_on_the_broker_and_down_again` |
//! | rule 13, no credential is told | `no_password_is_ever_told` `no_password_is_logged_at_any_level` `texts_are_bounded_and_hold_no_secret` |
//! | identity: another class, cluster or template | `another_name_for_a_topic_that_exists_is_held` `a_move_to_another_cluster_makes_a_login_there_and_takes_the_old_one_away_after_the_pods` |
#![allow(missing_docs, clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../support/mod.rs"]
mod support;

mod connection;
mod fixtures;
mod groups;
mod rights;
mod scale;
mod serve;
mod topics;

"""What several tests share. No test imports another test or a conftest.

Accounts and deployments
    dispatcher_account    a deployment in moto, with the fixtures ``account`` and ``session``
    account_snapshot      snapshots of an account in moto
    api_calls             API calls that a test records, fails, throttles or answers differently
    stubbed               a boto3 client that gives prepared answers
    answer_shapes         answers checked against the shapes of botocore's service models
    answer_scene          a call of every operation that hpoq calls
    deployed_stack        the stack in an embedded cloud, with the fixture ``cloud``
    running_cloud         a running cloud without a process
    synthesized_stack     the CloudFormation template of a deployment
    credit_data           the credit-default data set in a deployment's bucket
    state_machines        state machines of Step Functions in an embedded cloud
    event_listener        a queue that receives a deployment's events
    tiny_jobs             a deployment whose training jobs take milliseconds
    three_targets         a deployment over home, another account and another Region
    sleeping_jobs         tuning jobs outside the queue that run until a test ends them
    hostile_archives      hostile archives, names in archives and object keys
    hostile_messages      hostile messages, and an account that has received them
    aws_command           a PATH with an ``aws`` command
    older_clients         version 2 of the SageMaker SDK and the ``aws`` command
    sdk_drivers           training jobs as version 3 of the SageMaker SDK creates them
    sdk_tuner             a tuner with the interface of both versions of the SageMaker SDK
    page_visitor          a visitor of the pages without a browser
    page_scene            an account whose pages have something of everything
    iam_users             IAM users of the embedded cloud
    protobuf_records      records as Amazon's algorithms read them
    policies              who may do what in a template, by a policy simulator

Requests and schedules
    tuning_requests       requests, and the tuning jobs that are built from them
    scheduling_scene      snapshots, plans and Hypothesis strategies for them
    preemption_scene      running jobs that can be stopped, and plans that may stop them
    reconcile_scene       a ledger whose requests wait for others or have ended
    course_scene          requests and running jobs whose course a forecast draws
    start_scene           a ledger with planned requests, and services that answer as a test says
    delivered_shares      what teams get of a quota over a day
    plan_properties       what holds for every plan, and random snapshots to check it on
    event_schema          the published schema of state-change events
    signed_url            a URL that carries credentials
    lambda_context        the context that Lambda passes to a function
    workspace_attempts    attempts to reach what belongs to another team
    command_line          the ``hpoq`` command as tests run it

Faults
    killed_dispatcher     a dispatcher whose process dies at a given call
    unreliable_dispatcher dispatchers whose calls fail at random, in a simulated account
    invocation            an invocation that is advanced port call by port call
    watched               the port method that is running when an API call is made
    waiting_workflows     steps of workflows that wait, as strict as AWS
    fault_scene           a cycle in which a dispatcher makes every call that it can make
    faulty_dispatcher     a process whose calls fail at random, for the soak test
    soak_workload         the messages that teams send during the soak test
    soak_others           what others do during the soak test: foreign jobs, deletions, kills
    soak_processes        processes of dispatchers, which are killed and restarted
    soak_accounting       what became of its requests, by SageMaker and the queues
    ledger_record         the program that records ledgers for upgrade tests

Jobs, campaigns and training
    running_jobs          a SageMaker whose tuning jobs run until a test ends them
    job_spans             when tuning jobs ran, and how many ran at once
    waiting_times         how long requests of a simulated account waited
    memory_endpoint       the local SageMaker endpoint with its ports in memory
    endpoint_fixtures     fixtures of that endpoint
    engine_scene          that endpoint, started again and again, without real training processes
    instant_processes     training processes that end at once
    fuzzed_requests       requests for jobs with unusual values
    conformance_service   the API of that endpoint, of moto or of AWS
    conformance_requests  requests with every field, and changes of single fields
    campaign_commands      a folder with a request, and the commands of `hpoq campaign`
    campaign_engine       the local SageMaker endpoint for campaigns
    campaign_fixtures     fixtures of a campaign on that endpoint
    small_campaigns       plans of a few trials
    stepped_queue         a fake of the queue's client
    training_data         fixtures of the data sets that training tests use
    training_scripts      the training scripts as a shell or SageMaker runs them
    sagemaker_container   the entry point of SageMaker's PyTorch container
    ui_jobs               tuning jobs and training jobs as SageMaker describes them
    browser               a headless Chromium
    axe                   the rules of accessibility that a page breaks
"""

//! Chains of actors across clouds: small records in, who was really acting and the proof of each link out.

use std::fs;

use serde_json::Value;

use vigie_tests::vigie;

/// A rule that speaks about one event: the one whose id is `last`.
const RULE: &str = "title: The last event\nid: 5f6c0f0a-8d3e-4b7a-9a51-3c2e1d0b4f68\nlogsource: {product: ocsf}\ndetection:\n  selection: {metadata.uid: last}\n  condition: selection\nlevel: high\n";

/// The chain behind the event `last`: each link as its kind, how sure it is, its log, its proof, and who.
fn chain(records: &[&str]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let (rule, logs) = (folder.path().join("rule.yml"), folder.path().join("logs.ndjson"));
    fs::write(&rule, RULE).unwrap();
    fs::write(&logs, records.join("\n")).unwrap();
    let (rule, logs) = (rule.to_str().unwrap(), logs.to_str().unwrap());
    let found = vigie(&["hunt", logs, "--no-builtin", "--rules", rule, "-o", "ndjson"]).unwrap();
    assert_eq!(found.code, 3, "{}", found.err);
    let finding: Value = serde_json::from_str(found.out.lines().next().unwrap()).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let told = |step: &Value| {
        let by = &step["by"];
        let who = ["person", "name", "uid", "credential"].map(|key| text(&by[key]));
        let who = who.into_iter().find(|part| !part.is_empty()).unwrap();
        let words = ["kind", "sure", "log", "proof"].map(|key| text(&step[key])).join(" ");
        format!("{words} {who}")
    };
    let steps: Vec<String> = finding["unmapped"]["actor_chain"].as_array().unwrap().iter().map(told).collect();
    // The story for people names the same proofs, in both languages.
    for language in ["en", "fr"] {
        let page = vigie(&["hunt", logs, "--no-builtin", "--rules", rule, "-o", "html", "--lang", language]).unwrap().out;
        for step in &steps {
            let proof = step.split(' ').nth(3).unwrap();
            assert!(page.contains(proof), "the page does not name {proof}: {page}");
        }
    }
    steps
}

#[track_caller]
fn check(records: &[&str], expected: &[&str]) {
    assert_eq!(chain(records), expected);
}

/// A person's push starts a run; GitHub names the person at the identity provider of the organization.
const RUN: &str = r#"{"_document_id":"run","action":"workflows.created_workflow_run","@timestamp":1794447312000,"actor":"maelle-k","actor_id":51000111,"actor_is_bot":false,"org":"example-soc","org_id":9120045,"repo":"example-soc/deploy","event":"push","head_branch":"main","workflow_run_id":194001,"external_identity_nameid":"Maelle@example.com"}"#;
/// Another run of the same branch, later than what the tests ask about.
const LATER_RUN: &str = r#"{"_document_id":"later","action":"workflows.created_workflow_run","@timestamp":1794490512000,"actor":"loic-g","actor_id":51000134,"actor_is_bot":false,"org":"example-soc","org_id":9120045,"repo":"example-soc/deploy","event":"push","head_branch":"main","workflow_run_id":194002,"external_identity_nameid":"loic@example.com"}"#;

#[test]
fn a_workflow_run_takes_an_aws_role() {
    let role = r#"{"eventVersion":"1.11","eventID":"role","eventTime":"2026-11-12T01:36:00Z","eventSource":"sts.amazonaws.com","eventName":"AssumeRoleWithWebIdentity","awsRegion":"eu-west-3","userIdentity":{"type":"WebIdentityUser","principalId":"arn:aws:iam::417203958816:oidc-provider/token.actions.githubusercontent.com:sts.amazonaws.com:repo:example-soc/deploy:ref:refs/heads/main","userName":"repo:example-soc/deploy:ref:refs/heads/main","identityProvider":"arn:aws:iam::417203958816:oidc-provider/token.actions.githubusercontent.com"},"requestParameters":{"roleSessionName":"GitHubActions"},"responseElements":{"credentials":{"accessKeyId":"ASIARUN"},"subjectFromWebIdentityToken":"repo:example-soc/deploy:ref:refs/heads/main","assumedRoleUser":{"arn":"arn:aws:sts::417203958816:assumed-role/deploy/GitHubActions"}},"recipientAccountId":"417203958816"}"#;
    let call = r#"{"eventVersion":"1.11","eventID":"last","eventTime":"2026-11-12T01:37:00Z","eventSource":"s3.amazonaws.com","eventName":"ListBuckets","awsRegion":"eu-west-3","userIdentity":{"type":"AssumedRole","arn":"arn:aws:sts::417203958816:assumed-role/deploy/GitHubActions","accessKeyId":"ASIARUN"},"recipientAccountId":"417203958816"}"#;
    check(
        &[call, LATER_RUN, RUN, role],
        &[
            "assumed credential aws/cloudtrail role example-soc/deploy",
            "assumed subject github/audit run Maelle@example.com",
            "same email github/audit run maelle@example.com",
        ],
    );
}

#[test]
fn a_workflow_run_signs_in_to_entra() {
    let trust = r#"{"id":"trust","activityDateTime":"2026-11-11T08:30:00Z","activityDisplayName":"Update application","loggedByService":"Core Directory","result":"success","initiatedBy":{"user":{"id":"0d5f6a71","userPrincipalName":"lea@example.com"},"app":null},"targetResources":[{"id":"8ec592f8","displayName":"deploy","type":"Application","modifiedProperties":[{"displayName":"FederatedIdentityCredentials","oldValue":"[]","newValue":"[{\"Name\":\"main\",\"Issuer\":\"https://token.actions.githubusercontent.com\",\"Subject\":\"repo:example-soc/deploy:ref:refs/heads/main\",\"Id\":\"e0a57c39\"}]"}]}]}"#;
    let sign_in = r#"{"id":"signin","createdDateTime":"2026-11-12T01:37:00Z","appId":"5a6e0c1d","servicePrincipalId":"b84d7e12","servicePrincipalName":"deploy","resourceDisplayName":"Microsoft Graph","federatedCredentialId":"e0a57c39","servicePrincipalCredentialKeyId":"","uniqueTokenIdentifier":"TOKENRUN","status":{"errorCode":0}}"#;
    let change = r#"{"id":"last","activityDateTime":"2026-11-12T01:38:00Z","activityDisplayName":"Update user","loggedByService":"Core Directory","result":"success","initiatedBy":{"app":{"displayName":"deploy","servicePrincipalId":"b84d7e12"},"user":null},"targetResources":[{"id":"77aa","displayName":null,"type":"User","userPrincipalName":"svc@example.com","modifiedProperties":[]}]}"#;
    check(
        &[trust, LATER_RUN, RUN, sign_in, change],
        &[
            "assumed subject entra/signin signin deploy",
            "same credential entra/audit trust example-soc/deploy",
            "assumed subject github/audit run Maelle@example.com",
            "same email github/audit run maelle@example.com",
        ],
    );
}

#[test]
fn a_workflow_run_acts_in_google_cloud() {
    let call = r#"{"insertId":"last","timestamp":"2026-11-12T01:37:00Z","logName":"projects/p/logs/cloudaudit.googleapis.com%2Factivity","resource":{"type":"project","labels":{"project_id":"p"}},"protoPayload":{"@type":"type.googleapis.com/google.cloud.audit.AuditLog","serviceName":"storage.googleapis.com","methodName":"storage.buckets.list","authenticationInfo":{"principalEmail":"deploy@p.iam.gserviceaccount.com","serviceAccountDelegationInfo":[{"principalSubject":"principal://iam.googleapis.com/projects/4829/locations/global/workloadIdentityPools/ci/subject/repo:example-soc/deploy:ref:refs/heads/main"}]}}}"#;
    check(
        &[RUN, LATER_RUN, call],
        &[
            "acted subject gcp/audit last repo:example-soc/deploy:ref:refs/heads/main",
            "same subject gcp/audit last example-soc/deploy",
            "assumed subject github/audit run Maelle@example.com",
            "same email github/audit run maelle@example.com",
        ],
    );
}

#[test]
fn okta_signs_a_person_on_to_aws() {
    let on = r#"{"uuid":"sso","published":"2026-11-11T08:32:10.700Z","eventType":"user.authentication.sso","legacyEventType":"app.auth.sso","displayMessage":"User single sign on to app","outcome":{"result":"SUCCESS"},"actor":{"id":"00u1","type":"User","alternateId":"maelle@example.com"},"authenticationContext":{"externalSessionId":"idx1"},"debugContext":{"debugData":{"requestUri":"/app/amazon_aws/exk9aws/sso/saml"}},"target":[{"id":"0oa9","type":"AppInstance","alternateId":"AWS","displayName":"AWS"},{"id":"0ua7","type":"AppUser","alternateId":"Maelle@example.com","displayName":"Maelle"}]}"#;
    let elsewhere = on
        .replace("\"sso\",", "\"elsewhere\",")
        .replace("08:32:10", "08:32:30")
        .replace("exk9aws", "exk7mail")
        .replace("00u1", "00u2");
    let role = r#"{"eventVersion":"1.11","eventID":"role","eventTime":"2026-11-11T08:32:12Z","eventSource":"sts.amazonaws.com","eventName":"AssumeRoleWithSAML","awsRegion":"eu-west-3","userIdentity":{"type":"SAMLUser","principalId":"abc=:maelle@example.com","userName":"maelle@example.com","identityProvider":"abc="},"requestParameters":{"roleSessionName":"maelle@example.com"},"responseElements":{"issuer":"http://www.okta.com/exk9aws","subject":"maelle@example.com","credentials":{"accessKeyId":"ASIASAML"},"assumedRoleUser":{"arn":"arn:aws:sts::417203958816:assumed-role/admin/maelle@example.com"}},"recipientAccountId":"417203958816"}"#;
    let call = r#"{"eventVersion":"1.11","eventID":"last","eventTime":"2026-11-11T08:40:00Z","eventSource":"s3.amazonaws.com","eventName":"ListBuckets","awsRegion":"eu-west-3","userIdentity":{"type":"AssumedRole","arn":"arn:aws:sts::417203958816:assumed-role/admin/maelle@example.com","accessKeyId":"ASIASAML"},"recipientAccountId":"417203958816"}"#;
    check(
        &[on, &elsewhere, role, call],
        &[
            "assumed credential aws/cloudtrail role maelle@example.com",
            "assumed subject okta/system sso maelle@example.com",
            "same email okta/system sso maelle@example.com",
        ],
    );
}

#[test]
fn okta_signs_a_person_on_to_microsoft_365() {
    let on = r#"{"uuid":"sso","published":"2026-11-11T08:32:10.700Z","eventType":"user.authentication.sso","legacyEventType":"app.auth.sso","displayMessage":"User single sign on to app","outcome":{"result":"SUCCESS"},"actor":{"id":"00u1","type":"User","alternateId":"lea@example.com"},"authenticationContext":{"externalSessionId":"idx1"},"debugContext":{"debugData":{"requestUri":"/app/office365/exk5office/sso/wsfed/passive"}},"target":[{"id":"0oa9","type":"AppInstance","alternateId":"Office"},{"id":"0ua7","type":"AppUser","alternateId":"lea@example.com"}]}"#;
    let sign_in = r#"{"id":"signin","createdDateTime":"2026-11-11T08:32:12Z","appId":"c44b4083","isInteractive":true,"conditionalAccessStatus":"success","userId":"0d5f6a71","userPrincipalName":"Lea@example.com","tokenIssuerName":"http://www.okta.com/exk5office","tokenIssuerType":"ADFederationServices","uniqueTokenIdentifier":"TOKENLEA","status":{"errorCode":0}}"#;
    let read = r#"{"Id":"last","CreationTime":"2026-11-11T08:50:00","Operation":"FileDownloaded","Workload":"OneDrive","RecordType":6,"OrganizationId":"5b1c","UserType":0,"UserKey":"10032001","UserId":"lea@example.com","AppAccessContext":{"UniqueTokenId":"TOKENLEA"}}"#;
    check(
        &[on, sign_in, read],
        &[
            "assumed credential entra/signin signin Lea@example.com",
            "assumed subject entra/signin signin Lea@example.com",
            "assumed subject okta/system sso lea@example.com",
            "same email okta/system sso lea@example.com",
        ],
    );
}

#[test]
fn one_address_is_one_person_in_okta_and_google_cloud() {
    let on = r#"{"uuid":"last","published":"2026-11-11T08:32:10.700Z","eventType":"user.authentication.sso","legacyEventType":"app.auth.sso","displayMessage":"User single sign on to app","outcome":{"result":"SUCCESS"},"actor":{"id":"00u1","type":"User","alternateId":"Rana@example.com"},"debugContext":{"debugData":{"requestUri":"/app/google/exk3g/sso/saml"}},"target":[{"id":"0ua7","type":"AppUser","alternateId":"rana@example.com"}]}"#;
    let call = r#"{"insertId":"last","timestamp":"2026-11-11T08:37:00Z","logName":"projects/p/logs/cloudaudit.googleapis.com%2Factivity","resource":{"type":"project","labels":{"project_id":"p"}},"protoPayload":{"@type":"type.googleapis.com/google.cloud.audit.AuditLog","serviceName":"storage.googleapis.com","methodName":"storage.buckets.list","authenticationInfo":{"principalEmail":"rana@example.com"}}}"#;
    check(&[on], &["same email okta/system last rana@example.com"]);
    check(&[call], &["same email gcp/audit last rana@example.com"]);
}

#[test]
fn a_token_of_entra_leads_to_the_sign_in_and_the_key_to_who_made_it() {
    let key = r#"{"id":"key","activityDateTime":"2026-11-11T09:00:00Z","activityDisplayName":"Update application \u2013 Certificates and secrets management ","loggedByService":"Core Directory","result":"success","initiatedBy":{"user":{"id":"0d5f6a71","userPrincipalName":"lea@example.com"},"app":null},"targetResources":[{"id":"8ec592f8","displayName":"deploy","type":"Application","modifiedProperties":[{"displayName":"KeyDescription","oldValue":"[\"[KeyIdentifier=1111,KeyType=Password,KeyUsage=Verify,DisplayName=old]\"]","newValue":"[\"[KeyIdentifier=1111,KeyType=Password,KeyUsage=Verify,DisplayName=old]\",\"[KeyIdentifier=2222,KeyType=Password,KeyUsage=Verify,DisplayName=new]\"]"}]}]}"#;
    let sign_in = r#"{"id":"signin","createdDateTime":"2026-11-12T02:43:00Z","appId":"5a6e0c1d","servicePrincipalId":"b84d7e12","servicePrincipalName":"deploy","resourceDisplayName":"Azure Resource Manager","servicePrincipalCredentialKeyId":"2222","uniqueTokenIdentifier":"TOKENAPP","status":{"errorCode":0}}"#;
    let call = r#"{"eventDataId":"last","eventTimestamp":"2026-11-12T02:45:00Z","correlationId":"c","operationName":{"value":"Microsoft.Compute/virtualMachines/write"},"status":{"value":"Succeeded"},"caller":"b84d7e12","claims":{"uti":"TOKENAPP","appid":"5a6e0c1d"},"subscriptionId":"0a1b","resourceId":"/subscriptions/0a1b/x"}"#;
    check(
        &[call, sign_in, key],
        &[
            "assumed credential entra/signin signin deploy",
            "created credential entra/audit key lea@example.com",
            "same email entra/audit key lea@example.com",
        ],
    );
}

#[test]
fn a_refused_sign_in_proves_nothing() {
    let refused = r#"{"id":"signin","createdDateTime":"2026-11-12T02:43:00Z","appId":"5a6e0c1d","servicePrincipalId":"b84d7e12","servicePrincipalName":"deploy","resourceDisplayName":"Azure Resource Manager","servicePrincipalCredentialKeyId":"2222","uniqueTokenIdentifier":"TOKENAPP","status":{"errorCode":7000215,"failureReason":"Invalid client secret provided."}}"#;
    let call = r#"{"eventDataId":"last","eventTimestamp":"2026-11-12T02:45:00Z","correlationId":"c","operationName":{"value":"Microsoft.Compute/virtualMachines/write"},"status":{"value":"Succeeded"},"caller":"b84d7e12","claims":{"uti":"TOKENAPP","appid":"5a6e0c1d"},"subscriptionId":"0a1b","resourceId":"/subscriptions/0a1b/x"}"#;
    check(&[refused, call], &[]);
}

#[test]
fn a_managed_identity_leads_to_its_machine() {
    let sign_in = r#"{"id":"signin","createdDateTime":"2026-11-12T02:43:00Z","appId":"5a6e0c1d","servicePrincipalId":"8e9f0011","servicePrincipalName":"vm-batch-07","resourceDisplayName":"Azure Resource Manager","servicePrincipalCredentialKeyId":"9f00","uniqueTokenIdentifier":"TOKENVM","managedServiceIdentity":{"msiType":"systemAssigned","associatedResourceId":"/subscriptions/0a1b/resourceGroups/batch/providers/Microsoft.Compute/virtualMachines/vm-batch-07"},"status":{"errorCode":0}}"#;
    let call = r#"{"eventDataId":"last","eventTimestamp":"2026-11-12T02:45:00Z","correlationId":"c","operationName":{"value":"Microsoft.KeyVault/vaults/read"},"status":{"value":"Succeeded"},"caller":"8e9f0011","claims":{"uti":"TOKENVM","appid":"5a6e0c1d"},"subscriptionId":"0a1b","resourceId":"/subscriptions/0a1b/x"}"#;
    check(
        &[sign_in, call],
        &["assumed credential entra/signin signin vm-batch-07", "same subject entra/signin signin vm-batch-07"],
    );
}

/// A role of privileged identity management is the person's own: the record names who takes it.
#[test]
fn whoever_takes_a_privileged_role_is_named() {
    let taken = r#"{"id":"last","activityDateTime":"2026-11-12T02:38:00Z","activityDisplayName":"Add member to role completed (PIM activation)","loggedByService":"PIM","result":"success","initiatedBy":{"user":{"id":"0d5f6a71","userPrincipalName":"Lea@example.com"},"app":null},"targetResources":[{"id":"62e9","displayName":"Global Administrator","type":"Role","modifiedProperties":[]},{"id":"0d5f6a71","displayName":"Lea","type":"User","userPrincipalName":"lea@example.com","modifiedProperties":[]}]}"#;
    check(&[taken], &["same email entra/audit last lea@example.com"]);
}

#[test]
fn somebody_acts_through_a_service_account_of_google() {
    let call = r#"{"insertId":"last","timestamp":"2026-11-11T08:37:00Z","logName":"projects/p/logs/cloudaudit.googleapis.com%2Factivity","resource":{"type":"project","labels":{"project_id":"p"}},"protoPayload":{"@type":"type.googleapis.com/google.cloud.audit.AuditLog","serviceName":"storage.googleapis.com","methodName":"storage.buckets.list","authenticationInfo":{"principalEmail":"robot@p.iam.gserviceaccount.com","serviceAccountDelegationInfo":[{"firstPartyPrincipal":{"principalEmail":"rana@example.com"}}]}}}"#;
    let alone =
        call.replace(r#","serviceAccountDelegationInfo":[{"firstPartyPrincipal":{"principalEmail":"rana@example.com"}}]"#, "");
    check(&[call], &["acted subject gcp/audit last rana@example.com", "same email gcp/audit last rana@example.com"]);
    // Another call of the account, a minute later, names nobody: that somebody acted before proves nothing.
    let before = call.replace("\"last\"", "\"before\"");
    let later = alone.replace("08:37", "08:38");
    check(&[&before, &later], &[]);
}

#[test]
fn a_token_and_a_key_of_a_service_account_lead_to_who_made_them() {
    let token = r#"{"insertId":"token","timestamp":"2026-11-11T08:30:00Z","logName":"projects/p/logs/cloudaudit.googleapis.com%2Fdata_access","resource":{"type":"service_account","labels":{"project_id":"p","email_id":"robot@p.iam.gserviceaccount.com","unique_id":"1083"}},"protoPayload":{"@type":"type.googleapis.com/google.cloud.audit.AuditLog","serviceName":"iamcredentials.googleapis.com","methodName":"GenerateAccessToken","authenticationInfo":{"principalEmail":"rana@example.com"}}}"#;
    let call = r#"{"insertId":"last","timestamp":"2026-11-11T08:37:00Z","logName":"projects/p/logs/cloudaudit.googleapis.com%2Factivity","resource":{"type":"project","labels":{"project_id":"p"}},"protoPayload":{"@type":"type.googleapis.com/google.cloud.audit.AuditLog","serviceName":"storage.googleapis.com","methodName":"storage.buckets.list","authenticationInfo":{"principalEmail":"robot@p.iam.gserviceaccount.com"}}}"#;
    check(&[token, call], &["assumed subject gcp/audit token rana@example.com", "same email gcp/audit token rana@example.com"]);
    let key = r#"{"insertId":"key","timestamp":"2026-11-11T08:30:00Z","logName":"projects/p/logs/cloudaudit.googleapis.com%2Factivity","resource":{"type":"service_account","labels":{"project_id":"p","email_id":"robot@p.iam.gserviceaccount.com"}},"protoPayload":{"@type":"type.googleapis.com/google.cloud.audit.AuditLog","serviceName":"iam.googleapis.com","methodName":"google.iam.admin.v1.CreateServiceAccountKey","authenticationInfo":{"principalEmail":"yann@example.com"},"response":{"name":"projects/p/serviceAccounts/robot@p.iam.gserviceaccount.com/keys/b7c1"}}}"#;
    let with_key = call.replace(
        r#""principalEmail":"robot"#,
        r#""serviceAccountKeyName":"//iam.googleapis.com/projects/p/serviceAccounts/robot@p.iam.gserviceaccount.com/keys/b7c1","principalEmail":"robot"#,
    );
    check(
        &[token, key, &with_key],
        &["created credential gcp/audit key yann@example.com", "same email gcp/audit key yann@example.com"],
    );
}

/// The identity token of a service account of Google: its subject is the account's unique id.
#[test]
fn a_service_account_of_google_takes_an_aws_role() {
    let token = r#"{"insertId":"token","timestamp":"2026-11-11T08:30:00Z","logName":"projects/p/logs/cloudaudit.googleapis.com%2Fdata_access","resource":{"type":"service_account","labels":{"project_id":"p","email_id":"robot@p.iam.gserviceaccount.com","unique_id":"1083"}},"protoPayload":{"@type":"type.googleapis.com/google.cloud.audit.AuditLog","serviceName":"iamcredentials.googleapis.com","methodName":"GenerateIdToken","authenticationInfo":{"principalEmail":"rana@example.com"}}}"#;
    let role = r#"{"eventVersion":"1.11","eventID":"role","eventTime":"2026-11-11T08:31:00Z","eventSource":"sts.amazonaws.com","eventName":"AssumeRoleWithWebIdentity","awsRegion":"eu-west-3","userIdentity":{"type":"WebIdentityUser","principalId":"accounts.google.com:aud:1083","userName":"1083","identityProvider":"accounts.google.com"},"requestParameters":{"roleSessionName":"robot"},"responseElements":{"credentials":{"accessKeyId":"ASIAG"},"subjectFromWebIdentityToken":"1083","assumedRoleUser":{"arn":"arn:aws:sts::417203958816:assumed-role/load/robot"}},"recipientAccountId":"417203958816"}"#;
    let call = r#"{"eventVersion":"1.11","eventID":"last","eventTime":"2026-11-11T08:32:00Z","eventSource":"s3.amazonaws.com","eventName":"ListBuckets","awsRegion":"eu-west-3","userIdentity":{"type":"AssumedRole","arn":"arn:aws:sts::417203958816:assumed-role/load/robot","accessKeyId":"ASIAG"},"recipientAccountId":"417203958816"}"#;
    check(
        &[token, role, call],
        &[
            "assumed credential aws/cloudtrail role 1083",
            "assumed subject gcp/audit token rana@example.com",
            "same email gcp/audit token rana@example.com",
        ],
    );
}

#[test]
fn a_pod_takes_an_aws_role() {
    let role = r#"{"eventVersion":"1.11","eventID":"role","eventTime":"2026-11-11T08:31:00Z","eventSource":"sts.amazonaws.com","eventName":"AssumeRoleWithWebIdentity","awsRegion":"eu-west-3","userIdentity":{"type":"WebIdentityUser","principalId":"arn:aws:iam::417203958816:oidc-provider/oidc.eks.eu-west-3.amazonaws.com/id/C1:sts.amazonaws.com:system:serviceaccount:billing:invoicer","userName":"system:serviceaccount:billing:invoicer","identityProvider":"arn:aws:iam::417203958816:oidc-provider/oidc.eks.eu-west-3.amazonaws.com/id/C1"},"requestParameters":{"roleSessionName":"botocore"},"responseElements":{"credentials":{"accessKeyId":"ASIAPOD"},"subjectFromWebIdentityToken":"system:serviceaccount:billing:invoicer","assumedRoleUser":{"arn":"arn:aws:sts::417203958816:assumed-role/invoicer/botocore"}},"recipientAccountId":"417203958816"}"#;
    let call = r#"{"eventVersion":"1.11","eventID":"last","eventTime":"2026-11-11T08:32:00Z","eventSource":"s3.amazonaws.com","eventName":"ListBuckets","awsRegion":"eu-west-3","userIdentity":{"type":"AssumedRole","arn":"arn:aws:sts::417203958816:assumed-role/invoicer/botocore","accessKeyId":"ASIAPOD"},"recipientAccountId":"417203958816"}"#;
    check(&[role, call], &["assumed credential aws/cloudtrail role system:serviceaccount:billing:invoicer"]);
    let pod = r#"{"eventVersion":"1.11","eventID":"role","eventTime":"2026-11-11T08:31:00Z","eventSource":"eks-auth.amazonaws.com","eventName":"AssumeRoleForPodIdentity","awsRegion":"eu-west-3","userIdentity":{"type":"AssumedRole","arn":"arn:aws:sts::417203958816:assumed-role/node/i-0f1"},"requestParameters":{"clusterName":"prod"},"responseElements":{"credentials":{"accessKeyId":"ASIAPOD"},"subject":{"namespace":"billing","serviceAccount":"invoicer"},"assumedRoleUser":{"arn":"arn:aws:sts::417203958816:assumed-role/invoicer/eks-prod"}},"recipientAccountId":"417203958816"}"#;
    check(&[pod, call], &["assumed credential aws/cloudtrail role invoicer"]);
}

#[test]
fn a_token_of_kubernetes_leads_to_who_asked_for_it() {
    let token = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"token","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/billing/serviceaccounts/invoicer/token","verb":"create","user":{"username":"yann@example.com"},"objectRef":{"resource":"serviceaccounts","namespace":"billing","name":"invoicer","subresource":"token"},"responseStatus":{"code":201},"requestReceivedTimestamp":"2026-11-11T08:30:00Z","annotations":{"authentication.kubernetes.io/issued-credential-id":"JTI=7f3a"}}"#;
    let read = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"last","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/billing/secrets","verb":"list","user":{"username":"system:serviceaccount:billing:invoicer","extra":{"authentication.kubernetes.io/credential-id":["JTI=7f3a"]}},"objectRef":{"resource":"secrets","namespace":"billing"},"responseStatus":{"code":200},"requestReceivedTimestamp":"2026-11-11T08:35:00Z"}"#;
    check(&[token, read], &["assumed credential kubernetes/audit token yann@example.com"]);
}

#[test]
fn a_session_of_aws_acts_in_a_cluster() {
    let role = r#"{"eventVersion":"1.11","eventID":"role","eventTime":"2026-11-11T08:31:00Z","eventSource":"sts.amazonaws.com","eventName":"AssumeRole","awsRegion":"eu-west-3","userIdentity":{"type":"IAMUser","arn":"arn:aws:iam::417203958816:user/yann","userName":"yann","accessKeyId":"AKIAYANN"},"requestParameters":{"roleSessionName":"yann"},"responseElements":{"credentials":{"accessKeyId":"ASIAEKS"},"assumedRoleUser":{"arn":"arn:aws:sts::417203958816:assumed-role/cluster-admin/yann"}},"recipientAccountId":"417203958816"}"#;
    let read = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"last","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/billing/secrets","verb":"list","user":{"username":"admin","uid":"aws-iam-authenticator:417203958816:AROA","extra":{"accessKeyId":["ASIAEKS"],"arn":["arn:aws:sts::417203958816:assumed-role/cluster-admin/yann"],"sessionName":["yann"]}},"impersonatedUser":{"username":"system:serviceaccount:billing:invoicer"},"objectRef":{"resource":"secrets","namespace":"billing"},"responseStatus":{"code":200},"requestReceivedTimestamp":"2026-11-11T08:35:00Z"}"#;
    // Whom the request is made for is not who makes it.
    check(&[role, read], &["assumed credential aws/cloudtrail role yann"]);
}

#[test]
fn a_token_of_github_is_its_owners() {
    let clone = r#"{"_document_id":"last","action":"git.clone","@timestamp":1794447300000,"actor":"maelle-k","actor_id":51000111,"actor_ip":"203.0.113.77","org_id":9120045,"repo":"example-soc/deploy","token_id":88123,"hashed_token":"uH3v=","external_identity_nameid":""}"#;
    check(&[clone, RUN], &["same credential github/audit last maelle-k", "same email github/audit run maelle@example.com"]);
}

/// A display name, a login, an equal number in another product: none of them proves anything.
#[test]
fn nobody_is_guessed() {
    let gitlab = r#"{"id":71,"author_id":51000111,"author_name":"Maelle Kerdoncuff","entity_id":5,"entity_type":"Project","entity_path":"a/b","created_at":"2026-11-12T01:36:00.000Z","event_name":"project_created","details":{"author_name":"Maelle Kerdoncuff","author_class":"User","target_details":"x"},"ip_address":"192.0.2.1"}"#;
    let folder = tempfile::tempdir().unwrap();
    let (rule, logs) = (folder.path().join("rule.yml"), folder.path().join("logs.ndjson"));
    fs::write(&rule, RULE.replace("metadata.uid: last", "actor.user.uid: '51000111', metadata.log_name: gitlab/audit")).unwrap();
    fs::write(&logs, [RUN, gitlab].join("\n")).unwrap();
    let (rule, logs) = (rule.to_str().unwrap(), logs.to_str().unwrap());
    let found = vigie(&["hunt", logs, "--no-builtin", "--rules", rule, "-o", "ndjson"]).unwrap();
    let finding: Value = serde_json::from_str(found.out.lines().next().unwrap()).unwrap();
    assert_eq!(finding["unmapped"]["actor_chain"], Value::Array(Vec::new()), "{finding}");
    let opaque = RUN.replace("\"run\"", "\"last\"").replace("Maelle@example.com", "a7d0c4");
    check(&[&opaque], &[]);
}

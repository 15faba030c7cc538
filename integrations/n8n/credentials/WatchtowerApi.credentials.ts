import type {
	IAuthenticateGeneric,
	ICredentialTestRequest,
	ICredentialType,
	INodeProperties,
} from 'n8n-workflow';

/** A key of Watchtower's: an operator's for alerts, a source's for events. */
export class WatchtowerApi implements ICredentialType {
	name = 'watchtowerApi';

	displayName = 'Watchtower API';

	properties: INodeProperties[] = [
		{
			displayName: 'Address',
			name: 'baseUrl',
			type: 'string',
			default: 'http://localhost:8080',
			required: true,
			description: 'Where Watchtower is reached, without a slash at the end',
		},
		{
			displayName: 'Key',
			name: 'apiKey',
			type: 'string',
			typeOptions: { password: true },
			default: '',
			description:
				'Made by "watchtower keys add": role operator for alerts and the trigger, role source for events',
		},
	];

	authenticate: IAuthenticateGeneric = {
		type: 'generic',
		properties: { headers: { Authorization: '=Bearer {{$credentials.apiKey}}' } },
	};

	// A source's key may not read; that it is answered at all is what is tested.
	test: ICredentialTestRequest = {
		request: { baseURL: '={{$credentials.baseUrl}}', url: '/healthz' },
	};
}
